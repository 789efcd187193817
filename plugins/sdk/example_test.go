package sdk_test

import (
	"fmt"
	"strings"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/test"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

// Cold is a statement about a cold chain: every reading of a batch, in
// hundredths of a degree, lies between −25 and −15 °C.
type Cold struct {
	Readings frontend.Variable `gnark:"readings,public"`
	First    frontend.Variable `gnark:"firstMs,public"`
	Last     frontend.Variable `gnark:"lastMs,public"`
}

// Define is the statement. The messages are already bound to the task and their
// signatures checked.
func (c *Cold) Define(api frontend.API, m *sdk.Messages) error {
	for _, msg := range m.Items {
		if err := msg.FixLength(2); err != nil {
			return err
		}
		celsius, err := msg.Int(0, 2)
		if err != nil {
			return err
		}
		// In a slot that is not used the payload is zero: put −20 °C there.
		celsius = api.Sub(celsius, api.Mul(2000, api.Sub(1, msg.Used)))
		if err := sdk.AssertBetween(api, celsius, -2500, -1500); err != nil {
			return err
		}
	}
	m.AssertDeviceOrder()
	m.AssertTimeSpan(c.First, c.Last)
	api.AssertIsEqual(c.Readings, m.Count)
	return nil
}

func assignCold(t sdk.Task) (sdk.Circuit, error) {
	first, last := t.Messages[0].Time, t.Messages[0].Time
	for _, m := range t.Messages {
		first, last = min(first, m.Time), max(last, m.Time)
	}
	return &Cold{Readings: len(t.Messages), First: first, Last: last}, nil
}

// A plugin's main function hands such a project to Main.
func ExampleCompile() {
	_, d, err := sdk.Compile(&sdk.Project{
		Name: "cold-chain", Version: "1.0.0", BatchSize: 2, PayloadLimit: 2,
		New:    func(int) sdk.Circuit { return &Cold{} },
		Assign: assignCold,
		Sample: func(int) []byte { return []byte{0xf8, 0x30} }, // −20.00 °C
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Name, "for", d.BatchSize, "messages of", d.DeviceScheme, "devices")
	fmt.Println("outputs:", strings.Join(d.Outputs, ", "))
	fmt.Println("constraints:", d.Constraints)
	// Output:
	// cold-chain for 2 messages of eddsa-bn254 devices
	// outputs: readings, firstMs, lastMs
	// constraints: 16320
}

// invoice says that Cents is the price of Wh at 31.25 cents a kWh, rounded down.
type invoice struct {
	Wh    frontend.Variable
	Cents frontend.Variable `gnark:",public"`
}

func (c *invoice) Define(api frontend.API) error {
	sdk.AssertBits(api, c.Wh, 32)
	f := sdk.NewFixedPoint(api)
	kWh := f.Known(c.Wh, 32, 3) // three decimals: watt hours
	price := f.Rescale(f.Mul(kWh, f.Constant("31.25")), 0)
	api.AssertIsEqual(c.Cents, price.Value())
	return f.Err()
}

func ExampleFixedPoint() {
	for _, cents := range []int{46, 47} {
		err := test.IsSolved(&invoice{}, &invoice{Wh: 1500, Cents: cents}, ecc.BN254.ScalarField())
		fmt.Println("1.5 kWh cost", cents, "cents:", err == nil)
	}
	// Output:
	// 1.5 kWh cost 46 cents: true
	// 1.5 kWh cost 47 cents: false
}

// kiloWattHours says that Rest is Wh modulo 1000 and Whole the kWh.
type kiloWattHours struct {
	Wh          frontend.Variable
	Whole, Rest frontend.Variable `gnark:",public"`
}

func (c *kiloWattHours) Define(api frontend.API) error {
	sdk.AssertBits(api, c.Wh, 40)
	whole, rest, err := sdk.DivMod(api, c.Wh, 1000, 40)
	if err != nil {
		return err
	}
	api.AssertIsEqual(c.Whole, whole)
	api.AssertIsEqual(c.Rest, rest)
	return nil
}

func ExampleDivMod() {
	for _, rest := range []int{345, 1345} {
		c := &kiloWattHours{Wh: 12_345, Whole: (12_345 - rest) / 1000, Rest: rest}
		fmt.Println("rest", rest, test.IsSolved(&kiloWattHours{}, c, ecc.BN254.ScalarField()) == nil)
	}
	// Output:
	// rest 345 true
	// rest 1345 false
}
