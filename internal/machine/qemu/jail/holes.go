package jail

import "golang.org/x/sys/unix"

// punch is how a hole is made in a file: see fallocate(2).
const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE

// noHoles answers fallocate(fd, punch, …) with success and lets all else pass, in the
// terms of seccomp(2). It reads the number of the call, and then its second argument.
var noHoles = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FALLOCATE, Jf: 3},
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 24},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: punch, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: retErrno},
	{Code: unix.BPF_RET | unix.BPF_K, K: retAllow},
}

// Answers of a filter. No number of an error is added to the first, which makes it success.
const (
	retErrno = 0x00050000
	retAllow = 0x7fff0000
)
