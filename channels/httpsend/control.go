package httpsend

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// control looks at the address that a name has led to, before anything is sent there: whoever controls the name must not
// be able to make us speak to a machine of the company's own network, or to a cloud's metadata service.
func (c *Channel) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := to.Addr().Unmap().WithZone(""); !c.may(ip) {
		return fmt.Errorf("the name leads to %s, an address of a private network; if it is meant, name the network in networks:", ip)
	}
	return nil
}

// may says whether the settings name an address, or everybody may be spoken to there.
func (c *Channel) may(ip netip.Addr) bool {
	if thisMachine(c.url.Hostname()) && ip.IsLoopback() {
		return true
	}
	if written, err := netip.ParseAddr(c.url.Hostname()); err == nil {
		return written.Unmap().WithZone("") == ip
	}
	for _, n := range c.cfg.Networks {
		if n.Contains(ip) {
			return true
		}
	}
	return public(ip)
}

// public says whether an address belongs to no special network (RFC 6890 and its registries). An IPv6 address that carries
// an IPv4 address is as public as that.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	if v4, ok := carried(ip); ok {
		return public(v4)
	}
	for _, n := range special {
		if netip.MustParsePrefix(n).Contains(ip) {
			return false
		}
	}
	return true
}

// carried is the IPv4 address within one of NAT64 (RFC 6052) or 6to4 (RFC 3056).
func carried(ip netip.Addr) (netip.Addr, bool) {
	b := ip.As16()
	switch {
	case ip.Is4():
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// special are networks that are not global and that netip does not name: this network, shared addresses of carriers (RFC
// 6598), protocol assignments, documentation, benchmarks, reserved ones, and local NAT64 (RFC 8215).
var special = []string{
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b:1::/48", "2001:db8::/32", "fec0::/10",
}
