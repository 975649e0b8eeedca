package letter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // one of the two formats
	"image/png"
	"io/fs"
	"regexp"
)

// picture is an image as it was read from templates/.
type picture struct {
	data          []byte
	format        string // jpeg or png
	width, height int
	gray          bool
}

func (p *picture) ratio() float64 { return float64(p.width) / float64(p.height) }

// Bounds of pictures: a postcard at 600 dots per inch has 9 million.
const (
	mostPictureBytes  = 20 << 20
	mostPicturePixels = 50_000_000
)

// frontForm is how the name of a picture ends.
const frontForm = `\.([Pp][Nn][Gg]|[Jj][Pp][Ee]?[Gg])$`

var frontEnds = regexp.MustCompile(frontForm)

// CheckFront says what is wrong with the name of a picture.
func CheckFront(name string) error {
	switch {
	case !fs.ValidPath(name) || name == ".":
		return errors.New("expected the name of a file in templates/, such as card.jpg")
	case !frontEnds.MatchString(name):
		return errors.New("expected a PNG or JPEG file, such as card.jpg")
	}
	return nil
}

// CheckPicture says why a picture can't be printed.
func CheckPicture(data []byte) error {
	_, err := readPicture(data)
	return err
}

// readPicture checks that a picture can be printed.
func readPicture(data []byte) (*picture, error) {
	if len(data) > mostPictureBytes {
		return nil, fmt.Errorf("it has %d MB, and %d are allowed", len(data)>>20, mostPictureBytes>>20)
	}
	cfg, kind, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is neither PNG nor JPEG: %w", err)
	case cfg.Width < 1 || cfg.Height < 1 || cfg.Width*cfg.Height > mostPicturePixels:
		return nil, fmt.Errorf("it has %d × %d pixels, and %d million are allowed", cfg.Width, cfg.Height, mostPicturePixels/1_000_000)
	case kind == "jpeg" && cfg.ColorModel == color.CMYKModel:
		return nil, errors.New("it is a JPEG in CMYK; save it in RGB or gray")
	case kind == "jpeg" && orientation(data) > 1:
		return nil, errors.New("its Exif data says that it lies on its side; save it upright")
	}
	return &picture{data: data, format: kind, width: cfg.Width, height: cfg.Height, gray: cfg.ColorModel == color.GrayModel}, nil
}

// orientation is how a JPEG is turned (Exif 2.3, tag 0x0112); 1: upright; 0: it does not say.
func orientation(data []byte) uint16 {
	at := 2
	for at+4 <= len(data) && data[at] == 0xFF && data[at+1] != 0xDA {
		length := int(binary.BigEndian.Uint16(data[at+2:]))
		if at+2+length > len(data) || length < 2 {
			return 0
		}
		if tiff, ok := bytes.CutPrefix(data[at+4:at+2+length], []byte("Exif\x00\x00")); ok && data[at+1] == 0xE1 {
			return tiffOrientation(tiff)
		}
		at += 2 + length
	}
	return 0
}

func tiffOrientation(tiff []byte) uint16 {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int(order.Uint32(tiff[4:]))
	if at < 8 || at+2 > len(tiff) {
		return 0
	}
	for i := range int(order.Uint16(tiff[at:])) {
		entry := at + 2 + 12*i
		if entry+12 > len(tiff) {
			return 0
		}
		if order.Uint16(tiff[entry:]) == 0x0112 {
			return order.Uint16(tiff[entry+8:])
		}
	}
	return 0
}

// picture writes a picture: a JPEG as it is, a PNG as its pixels on white.
func (p *pdfWriter) picture(pic *picture) (int, error) {
	keys := fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/ColorSpace/", pic.width, pic.height)
	if pic.format == "jpeg" {
		space := "DeviceRGB"
		if pic.gray {
			space = "DeviceGray"
		}
		return p.raw(keys+space+"/Filter/DCTDecode", pic.data), nil
	}
	decoded, err := png.Decode(bytes.NewReader(pic.data))
	if err != nil {
		return 0, fmt.Errorf("read the picture: %w", err)
	}
	return p.stream(keys+"DeviceRGB", onWhite(decoded)), nil
}

// onWhite is an image's pixels in RGB, with what is transparent in it on white.
func onWhite(m image.Image) []byte {
	b := m.Bounds()
	out := make([]byte, 0, 3*b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, a := m.At(x, y).RGBA() // multiplied by a
			white := 0xFFFF - a
			out = append(out, byte((r+white)>>8), byte((g+white)>>8), byte((bl+white)>>8))
		}
	}
	return out
}
