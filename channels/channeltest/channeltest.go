// Package channeltest is the conformance suite of channels: what the engine relies on, asked of every channel against
// a provider that really speaks the channel's protocol on loopback and misbehaves on request.
//
//	func TestConformance(t *testing.T) {
//		channeltest.Run(t, func(t *testing.T) channeltest.Provider { return newServer(t) })
//	}
package channeltest

import (
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// Answer is what a Provider does with a message.
type Answer int

// The answers. What a provider does to its connections must be real: a drop is a closed socket.
const (
	Accept        Answer = iota
	Refuse               // for good, for a reason that has nothing to do with the address
	RefuseAddress        // for good, because the address is dead or unwilling
	RefuseForNow         // try again later
	DropBefore           // the connection breaks before the message is handed over, or none can be made
	DropAfter            // the provider takes the message, and the connection breaks before its answer
	Hold                 // the provider takes the message and answers, accepting it, after Release
)

// Provider is a provider on loopback with a channel that is configured to use it with short time limits. It cleans up
// after itself by testing.T.Cleanup.
type Provider interface {
	Channel() channels.Channel
	// Recipient is a valid address, another for each i.
	Recipient(i int) channels.Address
	// Unfit are changes, by name, each of which makes a good message one that the channel must refuse by itself, such as
	// one to an address that is none.
	Unfit() map[string]func(*channels.Message)
	// Answer says what the provider does with messages to the address; Accept is the default.
	Answer(to channels.Address, a Answer)
	// Accepted are the tokens of the messages that the provider took, in the order of taking, DropAfter and Hold
	// included.
	Accepted() []string
	// Held gives a value for each message that is being held.
	Held() <-chan struct{}
	// Release answers the messages held now and later.
	Release()
	// Stop closes the provider's connections and refuses new ones.
	Stop()
}

// Traits say what is different about a provider that is not asked over a network, or that forgives repetition. The zero
// Traits are those of a Provider without any.
type Traits struct {
	// Taken is the verdict on a message that the provider took: VerdictPending where a person finishes it.
	Taken channels.Verdict
	// Repeatable says that the provider takes a message that is handed over twice as one. One that was taken without an
	// answer is then RetryAfter, and not Unknown, and the suite hands a message over twice.
	Repeatable bool
	// Never are answers that such a provider can't give, as somebody's own table refuses nothing. Their tests are left out.
	Never []Answer
	// NoReceipt says that the provider gives no code and no id of its own.
	NoReceipt bool
}

// Peculiar is what a Provider adds that has Traits.
type Peculiar interface{ Traits() Traits }

// Filler is what a Provider adds whose channel has a Form: it gives a message the parts that make it a good one. Of a
// channel without addresses, Recipient has only a name, by which Answer then knows it; Fill can put it into a part.
type Filler interface{ Fill(m *channels.Message) }

// Run runs the suite. The factory is called once for each test in it.
func Run(t *testing.T, factory func(t *testing.T) Provider) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *bench){
		"accepts in order":                              acceptsInOrder,
		"uses a session again":                          usesSessionAgain,
		"permanent refusal":                             func(t *testing.T, b *bench) { refusal(t, b, Refuse, channels.VerdictPermanent) },
		"dead address":                                  func(t *testing.T, b *bench) { refusal(t, b, RefuseAddress, channels.VerdictSuppress) },
		"temporary refusal":                             func(t *testing.T, b *bench) { refusal(t, b, RefuseForNow, channels.VerdictRetry) },
		"a message twice is one":                        twiceIsOne,
		"one bad recipient harms no other":              oneBadRecipient,
		"unfit messages fail alone":                     unfit,
		"waits for a slow answer":                       slowAnswer,
		"awaits the answer when the context ends":       endsAfterHandOver,
		"stops between messages when the context ends":  endsIdle,
		"hands over nothing when the context has ended": endedBefore,
		"connection dropped before the hand-over":       droppedBefore,
		"connection dropped after the hand-over":        droppedAfter,
		"permit refused":                                permitRefused,
		"permit is asked once for each hand-over":       permitAsked,
		"permit refused harms no later message":         permitRefusedOnce,
		"provider gone":                                 providerGone,
		"open stops when the context has ended":         openEnded,
		"close is prompt when the provider has gone":    closeAfterStop,
		"names": names,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newBench(factory(t)))
		})
	}
}
