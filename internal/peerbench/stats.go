package main

// Medians and their intervals.

import (
	"math/rand/v2"
	"slices"
	"time"
)

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted)%2 == 0 {
		return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// interval returns the bootstrap 95 % interval of the median.
func interval(values []float64) (low, high float64) {
	medians := make([]float64, 2000)
	sample := make([]float64, len(values))
	for i := range medians {
		for k := range sample {
			sample[k] = values[rand.IntN(len(values))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	return medians[len(medians)/40], medians[len(medians)-1-len(medians)/40]
}

// quantile returns the time that a part of the times does not exceed, in µs.
func quantile(times []time.Duration, part float64) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[min(len(times)-1, int(part*float64(len(times))))]) / float64(time.Microsecond)
}
