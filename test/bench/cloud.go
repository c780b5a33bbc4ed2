package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"cis/api"
	"cis/internal/store"
	"cis/test/stage"
)

// cloudClient signs requests to the cloud API, as SDKs do.
type cloudClient struct {
	host string
	key  api.Key
}

// openCloud opens a stage with the cloud API and a key.
func (b *bench) openCloud(ctx context.Context, flags ...string) (*stage.Stage, *cloudClient, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	host := l.Addr().String()
	l.Close()
	s, err := stage.Open(ctx, stage.Config{Bin: b.bin, Flags: append([]string{"-cloudapi-listen", host, "-rate-limit", "0"}, flags...)})
	if err != nil {
		return nil, nil, err
	}
	k, err := s.Client.CreateKey(ctx, api.Key{User: api.DefaultUser, Type: api.KeySigning})
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, &cloudClient{host, k}, nil
}

// call does an action of the product cis and decodes the response.
func (c *cloudClient) call(ctx context.Context, action string, request, response any) error {
	body, err := c.send(ctx, action, request)
	if err != nil {
		return err
	}
	return decode(action, body, response)
}

// send does an action and returns what came.
func (c *cloudClient) send(ctx context.Context, action string, request any) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.host+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Action", action)
	r.Header.Set("X-TC-Version", "2018-04-08")
	r.Header.Set("X-TC-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Authorization", c.authorization(now, body))
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	return io.ReadAll(reply.Body)
}

func decode(action string, body []byte, response any) error {
	var told struct{ Response json.RawMessage }
	var failure struct {
		Error *struct{ Code, Message string }
	}
	err := json.Unmarshal(body, &told)
	if err == nil {
		err = json.Unmarshal(told.Response, &failure)
	}
	if err == nil && failure.Error != nil {
		err = fmt.Errorf("%s: %s", failure.Error.Code, failure.Error.Message)
	}
	if err == nil {
		err = json.Unmarshal(told.Response, response)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

// authorization signs a request by TC3-HMAC-SHA256.
func (c *cloudClient) authorization(now time.Time, body []byte) string {
	hash := func(data []byte) string { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]) }
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	date := now.Format(time.DateOnly)
	scope := date + "/cis/tc3_request"
	canonical := "POST\n/\n\ncontent-type:application/json\nhost:" + c.host + "\n\ncontent-type;host\n" + hash(body)
	toSign := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s\n%s", now.Unix(), scope, hash([]byte(canonical)))
	key := mac(mac(mac([]byte("TC3"+c.key.SecretKey), date), "cis"), "tc3_request")
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=content-type;host, Signature=%x", c.key.SecretID, scope, mac(key, toSign))
}

// cloudCreate measures from a signed create to the program's start.
func (b *bench) cloudCreate(ctx context.Context) (err error) {
	s, c, err := b.openCloud(ctx, "-standby", "2=0.25,256Mi")
	if err != nil {
		return err
	}
	p := &pair{Stage: s}
	defer func() { err = errors.Join(err, s.Close()) }()
	vpc, err := s.Client.VPC(ctx, api.DefaultName)
	if err != nil {
		return err
	}
	subnet, err := s.Client.Subnet(ctx, api.DefaultName)
	if err != nil {
		return err
	}
	var took, replied sample
	for i := range b.runs {
		if err := p.standby(ctx); err != nil {
			return err
		}
		name := fmt.Sprintf("cloud-%d", i)
		request := map[string]any{"Zone": "local-1", "VpcId": vpc.ID, "SubnetId": subnet.ID, "InstanceName": name, "RestartPolicy": "Never",
			"Containers": []map[string]any{{"Name": "main", "Image": s.Image, "Cpu": 0.25, "Memory": 0.25, "Command": "sleep", "Args": []string{"1000"}}}}
		began := time.Now()
		if err := c.call(ctx, "CreateContainerInstance", request, &struct{}{}); err != nil {
			return err
		}
		replied = append(replied, time.Since(began))
		for running := false; !running; {
			var told struct{ ContainerInstance struct{ State string } }
			if err := c.call(ctx, "DescribeContainerInstance", map[string]any{"InstanceName": name}, &told); err != nil {
				return err
			}
			running = told.ContainerInstance.State == "Running"
		}
		took = append(took, time.Since(began))
		if err := s.Client.Remove(ctx, name, true, nil); err != nil {
			return err
		}
	}
	b.table.add("cloud API: signed create, reply", replied.String(), "", "", "")
	b.table.add("cloud API: signed create to Running", took.String(), "", "", "")
	return nil
}

// cloudDescribe measures a page of 100 out of few and out of many records.
func (b *bench) cloudDescribe(ctx context.Context) (err error) {
	s, c, err := b.openCloud(ctx, "-standby", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forget(ctx, s), s.Close()) }()
	var few sample
	for _, records := range []int{100, 10_000} {
		if err := fill(ctx, s, records); err != nil {
			return err
		}
		before := status(s.Cisd(), "VmRSS")
		var took sample
		for i := range 20 * b.runs {
			offset := i * 100 % records
			var told struct {
				TotalCount            int
				ContainerInstanceList []struct{ InstanceId string }
			}
			const action = "DescribeContainerInstances"
			began := time.Now()
			body, err := c.send(ctx, action, map[string]any{"Offset": offset, "Limit": 100})
			if err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if err := decode(action, body, &told); err != nil {
				return err
			}
			if told.TotalCount != records || len(told.ContainerInstanceList) != 100 {
				return fmt.Errorf("a page of %d of %d, not 100 of %d", len(told.ContainerInstanceList), told.TotalCount, records)
			}
		}
		ratio, goal := "", "p99 10 ms"
		if few != nil {
			ratio = fmt.Sprintf("%.2f of 100", float64(took.median())/float64(few.median()))
		}
		few = took
		b.table.add(fmt.Sprintf("cloud API: page of 100 of %d records", records), took.String(), "", ratio, goal)
		b.table.add("  cisd before and after, RSS", mebibytes(before)+" / "+mebibytes(status(s.Cisd(), "VmRSS")), "", "", "")
	}
	return nil
}

// fill brings the record to so many instances that have ended, while cisd is down.
func fill(ctx context.Context, s *stage.Stage, records int) error {
	if err := s.Stop(); err != nil {
		return err
	}
	record, err := store.Open(ctx, filepath.Join(s.Dir, "data", "record.db"))
	if err != nil {
		return err
	}
	counts, err := record.CountInstances(ctx, "")
	if err != nil {
		return err
	}
	ended, zero := time.Now().UTC(), 0
	for n := counts[api.PhaseSucceeded]; n < records; n++ {
		spec := api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: fmt.Sprintf("ended-%05d", n), Containers: []api.Container{{
			Name: "main", Image: s.Image, Command: []string{"sh", "-c"}, Args: []string{"echo done"}, Env: []api.EnvVar{{Name: "N", Value: strconv.Itoa(n)}}}}}}
		spec.Default(api.Defaults{})
		in := &store.Instance{Instance: api.Instance{ID: fmt.Sprintf("i-%012x", n), Account: "default", Spec: spec.InstanceSpec, CreatedAt: ended.Add(time.Duration(n-records) * time.Second),
			Status: api.InstanceStatus{Phase: api.PhaseSucceeded, Reason: api.ReasonCompleted, StartedAt: &ended, FinishedAt: &ended, ExitCode: &zero,
				ContainerStatuses: []api.ContainerStatus{{Name: "main", Image: s.Image, State: api.ContainerState{Terminated: &api.StateTerminated{
					Reason: api.ReasonCompleted, StartedAt: ended, FinishedAt: ended}}}}}}, Run: store.Run{Number: 1}}
		if err := record.CreateInstance(ctx, in, nil, func() {}); err != nil {
			return errors.Join(err, record.Close())
		}
	}
	return errors.Join(record.Close(), s.Start(ctx))
}

// forget begins a new record: to remove many instances one by one takes long.
func forget(ctx context.Context, s *stage.Stage) error {
	err := s.Stop()
	for _, part := range []string{"", "-wal", "-shm"} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.Dir, "data", "record.db"+part)))
	}
	return errors.Join(err, s.Start(ctx))
}
