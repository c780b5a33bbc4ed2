package eksci

import (
	"context"
	"strings"
	"time"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

const (
	usualTail = 500
	maxTail   = 2000
	// maxSince is a year, more than any output is kept.
	maxSince = 366 * 24 * 60 * 60
)

func (p *product) logs(ctx context.Context, r *DescribeEksContainerInstanceLogRequest) (*DescribeEksContainerInstanceLogResponse, error) {
	in, err := p.find(ctx, "EksCiId", r.EksCiId)
	if err != nil {
		return nil, err
	}
	opts, most, err := r.options()
	if err != nil {
		return nil, err
	}
	if r.ContainerName == "" && len(in.Spec.Containers) > 1 {
		return nil, cloud.Errorf(cloud.MissingParameter, "ContainerName: is required, since the instance has several containers")
	}
	containers, err := cloud.Containers("ContainerName", in, r.ContainerName)
	if err != nil {
		return nil, err
	}
	opts.Container = containers[0]
	lines, err := cloud.Lines(ctx, p.engine, in.ID, opts, most)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line.Text + "\n")
	}
	return &DescribeEksContainerInstanceLogResponse{ContainerName: opts.Container, LogContent: text.String()}, nil
}

// options are what of the output is wanted, and how many bytes of it.
func (r *DescribeEksContainerInstanceLogRequest) options() (opts api.LogOptions, most int, err error) {
	opts, most = api.LogOptions{Tail: usualTail, Previous: r.Previous}, cloud.MaxLog
	if r.Tail != nil {
		if *r.Tail < 1 || *r.Tail > maxTail {
			return opts, 0, cloud.Bad("Tail", "must be 1 to %d, not %d", maxTail, *r.Tail)
		}
		opts.Tail = int(*r.Tail)
	}
	if r.LimitBytes != nil {
		if *r.LimitBytes < 1 || *r.LimitBytes > cloud.MaxLog {
			return opts, 0, cloud.Bad("LimitBytes", "must be 1 to %d, not %d", cloud.MaxLog, *r.LimitBytes)
		}
		most = int(*r.LimitBytes)
	}
	if opts.Since, err = cloud.ParseTime("StartTime", r.StartTime); err != nil {
		return opts, 0, err
	}
	if r.SinceSeconds != nil {
		if r.StartTime != "" {
			return opts, 0, cloud.Bad("SinceSeconds", "excludes StartTime")
		}
		if *r.SinceSeconds < 1 || *r.SinceSeconds > maxSince {
			return opts, 0, cloud.Bad("SinceSeconds", "must be 1 to %d, not %d", maxSince, *r.SinceSeconds)
		}
		opts.Since = time.Now().Add(-time.Duration(*r.SinceSeconds) * time.Second)
	}
	return opts, most, nil
}
