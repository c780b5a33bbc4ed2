package main

import (
	"fmt"
	"math/rand/v2"
)

// figures are what was measured of one thing, one for each round.
type figures []float64

func (f figures) median() float64 { return quantile(f, 0.5) }

// alternate measures two things in so many rounds, in random order in each, so that
// neither of them always has what the other leaves behind.
func alternate(rounds int, a, b func(round int) (float64, error)) (as, bs figures, err error) {
	as, bs = make(figures, rounds), make(figures, rounds)
	for i := range rounds {
		order := []func() error{
			func() (err error) { as[i], err = a(i); return err },
			func() (err error) { bs[i], err = b(i); return err },
		}
		rand.Shuffle(len(order), func(x, y int) { order[x], order[y] = order[y], order[x] })
		for _, measure := range order {
			if err := measure(); err != nil {
				return nil, nil, err
			}
		}
	}
	return as, bs, nil
}

// resamples is how often the rounds are drawn again for the interval of a ratio.
const resamples = 2000

// ratio is that of the medians of two things that were measured in the same rounds, and
// where 95 of 100 such measurements would find it: the bootstrap of percentiles, which
// draws whole rounds, since what slows one of the two often slows the other as well.
func ratio(a, b figures) string {
	found := make(figures, resamples)
	as, bs := make(figures, len(a)), make(figures, len(b))
	for i := range found {
		for k := range as {
			drawn := rand.IntN(len(a))
			as[k], bs[k] = a[drawn], b[drawn]
		}
		found[i] = as.median() / bs.median()
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", a.median()/b.median(), quantile(found, 0.025), quantile(found, 0.975))
}
