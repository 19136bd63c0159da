package main

import (
	"slices"
	"testing"
)

// The coefficients of package coeff are those that the fit finds, to the bit, and
// reach the error that the package promises, near the least possible one: within a fifth
// of it, or an eighth of a unit in the last place.
func TestCommitted(t *testing.T) {
	for _, f := range fits {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			c, err := f.solve()
			if err != nil {
				t.Fatal(err)
			}
			if got := round(c); !slices.Equal(got, f.committed) {
				t.Errorf("the fit finds %v, want %v", got, f.committed)
			}
			least, got := f.worst(c), f.worst(f.committed)
			if got > f.bound || got < 0.9*f.bound {
				t.Errorf("the greatest error is %v, want at most %v and not much less", got, f.bound)
			}
			if got > 1.2*least && got > least+0x1p-26 {
				t.Errorf("the greatest error is %v, of the polynomial before rounding %v", got, least)
			}
		})
	}
}

// Where a polynomial is the best one, its error has equal extremes of alternating
// sign, one more than it has coefficients (Chebyshev).
func TestEquioscillation(t *testing.T) {
	for _, f := range fits {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			c, err := f.solve()
			if err != nil {
				t.Fatal(err)
			}
			worst, extremes, sign := f.worst(c), 0, 0
			for _, x := range f.chebyshev(100_000) {
				if f.errorAt(c, x) < 0.99*worst {
					continue
				}
				now := -1
				if evaluate(c, x) > f.f(x) {
					now = 1
				}
				if now != sign {
					extremes, sign = extremes+1, now
				}
			}
			if extremes != f.degree+2 {
				t.Errorf("%d extremes of alternating sign, want %d", extremes, f.degree+2)
			}
		})
	}
}
