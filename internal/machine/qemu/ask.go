package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"cis/internal/agent/guest"
	"cis/internal/agent/serial"
)

// ask sends the guest a request; its answer comes later.
func (v *vm) ask(ctx context.Context, r guest.Request) <-chan error {
	answered := make(chan error, 1)
	go func() { answered <- v.request(ctx, r) }()
	return answered
}

// maxAnswer is how long a guest's answer may be, in bytes: a log with room for what JSON
// adds to it.
const maxAnswer = 4 * guest.LogSize

// request sends the guest a request and waits until it is done.
func (v *vm) request(ctx context.Context, r guest.Request) error {
	_, err := v.answer(ctx, r)
	return err
}

// answer is what the guest says when it has done a request.
func (v *vm) answer(ctx context.Context, r guest.Request) (a guest.Answer, err error) {
	conn, err := v.dial(ctx, guest.RequestPort)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err = json.NewEncoder(conn).Encode(r)
	if err == nil {
		err = json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return a, context.Cause(ctx)
	case err != nil:
		return a, fmt.Errorf("ask the guest: %w", err)
	case a.Error != "":
		return a, errors.New("the guest: " + a.Error)
	}
	return a, nil
}

// dial begins a connection with the guest's side of a port.
func (v *vm) dial(ctx context.Context, port string) (net.Conn, error) {
	conn, err := dialSocket(ctx, v.m.socket(v.id, port))
	if err == nil {
		conn, err = serial.Connect(ctx, conn)
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}
