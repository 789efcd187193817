package health

import "time"

// Parse reads an answer to all fields.
func Parse(answer string) ([]Reading, error) {
	readings, lost, err := parse(answer, (&SMI{}).fields())
	return append(readings, lost...), err
}

// HealthyAt is Healthy at a given time.
func HealthyAt(r Reading, l Limits, now time.Time) (bool, []Reason) { return healthyAt(r, l, now) }
