package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"

	"cis/internal/testbox"
)

// small is a kernel of one page with a relocation of each kind, as an ELF file with its
// relocations: at 0 an address of 64 bits, at 8 one of 32, and at 12 a distance.
func small() []byte {
	const from, header = 0x1000, 64
	data := make([]byte, from+page+header)
	le := binary.LittleEndian
	copy(data, "\x7fELF\x02\x01\x01")
	le.PutUint16(data[16:], uint16(elf.ET_EXEC))
	le.PutUint16(data[18:], uint16(elf.EM_X86_64))
	le.PutUint32(data[20:], 1)
	le.PutUint64(data[elfEntry:], linked+0x10)
	le.PutUint64(data[elfPrograms:], header)
	le.PutUint64(data[elfSections:], from+page)
	le.PutUint16(data[0x34:], header)
	le.PutUint16(data[0x36:], 56)
	le.PutUint16(data[0x38:], 1)
	le.PutUint16(data[0x3a:], header) // there is one section, of nothing
	le.PutUint16(data[0x3c:], 1)
	program := data[header:]
	le.PutUint32(program, uint32(elf.PT_LOAD))
	le.PutUint64(program[8:], from)
	le.PutUint64(program[0x10:], mapAddress+linked)
	le.PutUint64(program[programPhysical:], linked)
	le.PutUint64(program[0x20:], page)
	le.PutUint64(program[0x28:], page)
	le.PutUint64(data[from:], mapAddress+linked+0x20)
	le.PutUint32(data[from+8:], 0x81000030)
	le.PutUint32(data[from+12:], 0x40)
	for _, at := range []uint32{0, 0x81000000, 0, 0x8100000c, 0, 0x81000008} {
		data = le.AppendUint32(data, at)
	}
	return data
}

// pack makes a bzImage of a kernel.
func pack(t testing.TB, unpacked []byte, memory uint32) []byte {
	block := make([]byte, lz4.CompressBlockBound(len(unpacked)))
	n, err := lz4.CompressBlock(unpacked, block, nil)
	if err != nil {
		t.Fatal(err)
	}
	const code = 2 * sector
	le := binary.LittleEndian
	data := make([]byte, code+32)
	data[setupSectors] = 1
	copy(data[magic:], "HdrS")
	le.PutUint16(data[version:], 0x20f)
	data[loadFlags] = loadedHigh
	le.PutUint32(data[codeStart:], loaderAddress)
	le.PutUint32(data[payloadOffset:], 32)
	le.PutUint32(data[payloadLength:], uint32(3*lengthSize+n))
	le.PutUint32(data[initSize:], memory)
	data = le.AppendUint32(data, lz4Magic)
	data = le.AppendUint32(data, uint32(n))
	data = append(data, block[:n]...)
	return le.AppendUint32(data, uint32(len(unpacked)))
}

// placed is what Place makes of a kernel.
func placed(t testing.TB, kernel []byte, limit uint64) (file *elf.File, data, loading []byte) {
	t.Helper()
	var to, start bytes.Buffer
	if err := Place(kernel, limit, &to, &start); err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(to.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return f, to.Bytes(), start.Bytes()
}

// TestPlace: a kernel's addresses have moved by the same distance, its physical ones by another,
// and what enters it knows.
func TestPlace(t *testing.T) {
	const memory = 4 * align
	packed := pack(t, small(), memory)
	var distances []uint64
	for range 20 {
		f, data, start := placed(t, packed, linked+memory+align)
		le := binary.LittleEndian
		by := le.Uint64(data[0x1000:]) - (mapAddress + linked + 0x20)
		if by%align != 0 || by > imageSpace-linked-memory {
			t.Fatalf("moved by %#x", by)
		}
		distances = append(distances, by)
		if got, want := le.Uint32(data[0x1008:]), 0x81000030+uint32(by); got != want {
			t.Errorf("an address of 32 bits is %#x instead of %#x", got, want)
		}
		if got, want := le.Uint32(data[0x100c:]), 0x40-uint32(by); got != want {
			t.Errorf("a distance to what did not move is %#x instead of %#x", got, want)
		}
		physical := f.Progs[0].Paddr
		if physical != linked && physical != linked+align {
			t.Errorf("placed at %#x", physical)
		}
		if f.Entry != physical+0x10 || !bytes.Contains(start, enter(uint32(physical+0x10))) {
			t.Errorf("placed at %#x, and entered at %#x", physical, f.Entry)
		}
	}
	if slices.Sort(distances); len(slices.Compact(distances)) < 2 {
		t.Error("20 times the same address")
	}
}

// TestDebian: the kernel of the tests' VMs is one of those that can be placed.
func TestDebian(t *testing.T) {
	packed, err := os.ReadFile(filepath.Join(testbox.GuestKernel(t), "vmlinuz"))
	if err != nil {
		t.Fatal(err)
	}
	const limit = 128 << 20
	f, data, start := placed(t, packed, limit)
	var end uint64
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			end = max(end, p.Paddr+p.Memsz)
		}
	}
	if end > limit || f.Entry < linked || f.Entry >= end {
		t.Errorf("it ends at %#x, its entry is at %#x", end, f.Entry)
	}
	text := f.Section(".text")
	if code, err := text.Data(); err != nil || len(code) < 1<<20 {
		t.Errorf("%d bytes of code, %v", len(code), err)
	}
	if !bytes.Contains(data, []byte("Linux version ")) || start[loadFlags]&randomized == 0 {
		t.Error("no Linux, or one that will not place its data")
	}
}

func TestRefused(t *testing.T) {
	const memory, limit = align, 64 << 20
	good := func() []byte { return pack(t, small(), memory) }
	changed := func(at int, to byte) []byte {
		data := good()
		data[at] = to
		return data
	}
	more := append(small(), 0, 0, 0, 0) // a list of nothing
	outside := small()
	binary.LittleEndian.PutUint32(outside[len(outside)-4:], 0x81002000)
	for says, kernel := range map[string][]byte{
		"not a bzImage":              []byte("\x7fELF"),
		"boot protocol 0x205":        changed(version, 5),
		"to be loaded at":            changed(codeStart, 1),
		"cut off":                    good()[:1100],
		"not packed with LZ4":        changed(2*sector+32, 0),
		"behind its file":            pack(t, more, memory),
		"where nothing is loaded":    pack(t, outside, memory),
		"it needs 67108864 bytes":    pack(t, small(), limit),
		"bad magic number":           pack(t, make([]byte, 100), memory),
		"unpack: a block is cut off": changed(2*sector+32+lengthSize+2, 1),
	} {
		if err := Place(kernel, limit, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// FuzzPlace: whatever a kernel's file says, it is placed or refused.
func FuzzPlace(f *testing.F) {
	f.Add(pack(f, small(), align))
	f.Fuzz(func(t *testing.T, kernel []byte) {
		Place(kernel, 64<<20, &bytes.Buffer{}, &bytes.Buffer{})
	})
}

// FuzzRelocate: the same for what was packed.
func FuzzRelocate(f *testing.F) {
	f.Add(small())
	f.Fuzz(func(t *testing.T, data []byte) {
		if image, err := readImage(data); err == nil && image.relocate(align) == nil {
			image.move(align)
		}
	})
}
