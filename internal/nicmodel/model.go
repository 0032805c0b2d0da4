package nicmodel

// Told is how a guest learns its MTU.
type Told string

const (
	ToldVirtio Told = "virtio" // by host_mtu: a virtio guest boots at that MTU
	ToldManual Told = "manual" // not told; somebody sets it inside the guest
	ToldNo     Told = "no"     // not told, and it would not help
)

// Standard is the MTU of a NIC that nobody told anything, in bytes of IP packet.
const Standard = 1500

// Limitless is the Max of a model that takes whatever an MTU can be.
const Limitless = 65535

// Model is one <model type=”/>.
type Model struct {
	Name string
	// Max is the largest MTU that every common guest driver of the model takes,
	// in bytes of IP packet.
	Max  int
	Told Told
}

// models lists what is known; a model that is not here is not known to carry
// anything, and is left alone.
//
// Sources: max_mtu of the Linux driver, where several drive one model the least
// that can be counted on; Windows and BSD drivers take no more.
var models = []Model{
	{"virtio", Limitless, ToldVirtio}, // virtio_net: host_mtu, or 65535 without
	{"virtio-transitional", Limitless, ToldVirtio},
	{"virtio-non-transitional", Limitless, ToldVirtio},
	{"e1000", 16110, ToldManual}, // e1000: MAX_JUMBO_FRAME_SIZE 0x3F00 less headers
	{"e1000e", 9212, ToldManual}, // e1000e: DEFAULT_JUMBO 9234 less 22
	{"igb", 9216, ToldManual},    // igb: MAX_STD_JUMBO_FRAME_SIZE
	{"vmxnet3", 9000, ToldManual},
	{"rtl8139", Standard, ToldNo}, // 8139too 1770, 8139cp 4096, others 1500
	{"pcnet", Standard, ToldNo},
	{"ne2k_pci", Standard, ToldNo},
	{"ne2k_isa", Standard, ToldNo},
	{"i82550", Standard, ToldNo}, // e100 drives the i8255x
	{"i82551", Standard, ToldNo},
	{"i82557a", Standard, ToldNo},
	{"i82557b", Standard, ToldNo},
	{"i82557c", Standard, ToldNo},
	{"i82558a", Standard, ToldNo},
	{"i82558b", Standard, ToldNo},
	{"i82559a", Standard, ToldNo},
	{"i82559b", Standard, ToldNo},
	{"i82559c", Standard, ToldNo},
	{"i82559er", Standard, ToldNo},
	{"i82562", Standard, ToldNo},
	{"i82801", Standard, ToldNo},
	{"tulip", Standard, ToldNo},
	{"usb-net", Standard, ToldNo},
	{"lan9118", Standard, ToldNo},
	{"smc91c111", Standard, ToldNo},
}

// Lookup returns what is known of a model; false: nothing is.
func Lookup(name string) (Model, bool) {
	for _, m := range models {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}
