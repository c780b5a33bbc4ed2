package runtimetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Builtin is the programs that every runtime knows:
//
//	exit N          ends with a code
//	echo WORDS      writes a line to standard output
//	fail N WORDS    writes a line to standard error and ends with a code
//	cat             copies its input to its output
//	sleep [MS]      sleeps, forever without a number
//	stubborn        sleeps, and says so when it is asked to end
//	graceful N      ends with a code when it is asked to
//	flood BYTES     writes that many bytes
//	winsize         writes its terminal's size, and again at each SIGWINCH
//	env             writes its environment
func Builtin() map[string]Program {
	return map[string]Program{
		"exit": func(p *Proc) int { return p.number(1) },
		"echo": func(p *Proc) int {
			fmt.Fprintln(p.Stdout, strings.Join(p.Args[1:], " "))
			return 0
		},
		"fail": func(p *Proc) int {
			fmt.Fprintln(p.Stderr, strings.Join(p.Args[2:], " "))
			return p.number(1)
		},
		"cat": func(p *Proc) int {
			io.Copy(p.Stdout, p.Stdin)
			return 0
		},
		"sleep": func(p *Proc) int {
			var wake <-chan time.Time
			if len(p.Args) > 1 {
				wake = time.After(time.Duration(p.number(1)) * time.Millisecond)
			}
			select {
			case <-wake:
			case <-p.Killed():
			}
			return 0
		},
		"stubborn": func(p *Proc) int {
			term, hup := p.Catch(int(unix.SIGTERM)), p.Catch(int(unix.SIGHUP))
			for {
				select {
				case n := <-term:
					fmt.Fprintln(p.Stdout, "no", n)
				case n := <-hup:
					fmt.Fprintln(p.Stdout, "no", n)
				case <-p.Killed():
					return 0
				}
			}
		},
		"graceful": func(p *Proc) int {
			select {
			case <-p.Catch(int(unix.SIGTERM)):
				fmt.Fprintln(p.Stdout, "bye")
			case <-p.Killed():
			}
			return p.number(1)
		},
		"flood":   flood,
		"winsize": winsize,
		"env": func(p *Proc) int {
			fmt.Fprintln(p.Stdout, strings.Join(p.Env, "\n"))
			return 0
		},
	}
}

func (p *Proc) number(arg int) int {
	if arg >= len(p.Args) {
		return 0
	}
	n, err := strconv.Atoi(p.Args[arg])
	if err != nil {
		return 2
	}
	return n
}

func flood(p *Proc) int {
	line := append(bytes.Repeat([]byte("0123456789"), 409), "-----\n"...)
	for left := p.number(1); left > 0; {
		n, err := p.Stdout.Write(line[:min(left, len(line))])
		if err != nil {
			return 1
		}
		left -= n
	}
	return 0
}

func winsize(p *Proc) int {
	changed := p.Catch(int(unix.SIGWINCH))
	for {
		conn, err := p.Stdout.SyscallConn()
		if err != nil {
			return 1
		}
		var size *unix.Winsize
		conn.Control(func(fd uintptr) { size, err = unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ) })
		if err != nil {
			return 1
		}
		fmt.Fprintf(p.Stdout, "%dx%d\n", size.Col, size.Row)
		select {
		case <-changed:
		case <-p.Killed():
			return 0
		}
	}
}

// AfterExit writes to the program's output later than its end, as something does
// that it left behind and that holds its pipe open until hold has passed.
func (p *Proc) AfterExit(hold time.Duration, text string) {
	fd, err := unix.FcntlInt(p.Stdout.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	left := os.NewFile(uintptr(fd), "left behind")
	go func() {
		<-p.Killed()
		fmt.Fprint(left, text)
		time.Sleep(hold)
		left.Close()
	}()
}
