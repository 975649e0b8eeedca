package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/response"
)

// preferenceText is what the page of preferences says in one language.
type preferenceText struct {
	title, intro, ended           string
	legend, save                  string // of the boxes where there is one channel: CHANNEL
	fixed, pending, despite       string
	pauseTitle, pause, pauseLabel string
	paused, resume, resumeLabel   string // DATE
	endTitle, end, endLabel       string
	stopped, stoppedThere         string
	suppressed, hungUp            string
	nobodyTitle, nobody           string
	email, voice                  string
	done                          map[response.Done]string
}

func preferenceWords(lang, company string) *preferenceText {
	if lang == "en" {
		return englishPreferences(company)
	}
	return indonesianPreferences(company)
}

// channel is a channel's name.
func (w *preferenceText) channel(name string) string {
	switch name {
	case "email":
		return w.email
	case "sms":
		return "SMS"
	case "whatsapp":
		return "WhatsApp"
	case "voice":
		return w.voice
	}
	return name
}

// topicsBy is the legend of the boxes where there is one channel.
func (w *preferenceText) topicsBy(channel string) string {
	if channel == "email" {
		return w.legend + " " + strings.ToLower(w.email)
	}
	return w.legend + " " + w.channel(channel)
}

// blocked says what holds whatever is chosen.
func (w *preferenceText) blocked(b response.Block) string {
	switch {
	case b.ByStop && b.Channel == "voice":
		return w.hungUp
	case b.ByStop && b.Channel == "sms":
		return w.stopped
	case b.ByStop:
		return w.channel(b.Channel) + ": " + w.stoppedThere
	}
	return w.channel(b.Channel) + ": " + w.suppressed
}

func indonesianPreferences(company string) *preferenceText {
	return &preferenceText{
		title:  "Apa yang ingin Anda terima?",
		intro:  "Centang apa yang boleh " + company + " kirimkan, lalu simpan.",
		ended:  company + " tidak mengirimi Anda apa pun lagi. Kalau Anda mencentang sesuatu dan menyimpannya, hanya itu yang akan Anda terima.",
		legend: "Lewat", save: "Simpan pilihan saya",
		fixed:      "Tidak bisa diubah di sini: di data " + company + " tercatat bahwa Anda tidak mau menerimanya. Hubungi " + company + " untuk mengubahnya.",
		pending:    "Menunggu konfirmasi Anda: buka tautan di pesan konfirmasi, atau centang di sini lalu simpan.",
		despite:    "Tetap datang meskipun sedang jeda.",
		pauseTitle: "Jeda", pause: "Tidak menerima apa pun selama 30 hari. Setelah itu pilihan Anda berlaku lagi.", pauseLabel: "Jeda 30 hari",
		paused: "Tidak ada yang kami kirimkan sampai DATE. Setelah itu pilihan Anda berlaku lagi.", resume: "Kalau jeda diakhiri, pilihan Anda langsung berlaku lagi.", resumeLabel: "Akhiri jeda sekarang",
		endTitle: "Berhenti dari semuanya", end: "Tidak menerima apa pun lagi dari " + company + ", lewat saluran mana pun.", endLabel: "Berhenti menerima semuanya",
		stopped: "SMS: Anda pernah membalas BERHENTI, jadi nomor Anda tidak kami kirimi SMS, apa pun pilihan Anda di sini. " +
			"Untuk menerimanya lagi, balas MULAI pada salah satu SMS kami.",
		stoppedThere: "Anda pernah membalas BERHENTI, jadi nomor Anda tidak kami kirimi pesan di sana, apa pun pilihan Anda di sini. " +
			"Untuk menerimanya lagi, balas MULAI pada salah satu pesan kami di sana.",
		hungUp: "Telepon otomatis: Anda pernah menekan tombol untuk berhenti, jadi nomor Anda tidak kami telepon lagi, apa pun pilihan Anda di sini. " +
			"Hubungi " + company + " untuk mengubahnya.",
		suppressed: "alamat atau nomor Anda tidak kami pakai lagi, misalnya karena pesan tidak sampai. Apa pun pilihan Anda di sini, tidak ada yang dikirim ke sana. " +
			"Hubungi " + company + " untuk mengubahnya.",
		nobodyTitle: "Tidak ada yang perlu dipilih", nobody: "Tautan ini tidak lagi mengatur pesan apa pun.",
		email: "E-mail", voice: "Telepon otomatis",
		done: map[response.Done]string{
			response.Saved:      "Pilihan Anda sudah disimpan.",
			response.AllEnded:   "Anda sudah berhenti dari semuanya.",
			response.PauseBegun: "Jeda sudah dimulai.",
			response.PauseOver:  "Jeda sudah berakhir.",
			response.Stale:      "Tidak ada yang disimpan: pilihan Anda sudah berubah sejak halaman ini dibuka. Inilah yang berlaku sekarang.",
		},
	}
}

func englishPreferences(company string) *preferenceText {
	return &preferenceText{
		title:  "What would you like to get?",
		intro:  "Tick what " + company + " may send you, then save.",
		ended:  company + " sends you nothing any more. If you tick something and save, you will get only that.",
		legend: "By", save: "Save my choices",
		fixed:      "This can’t be changed here: the records of " + company + " say that you don’t want it. Please ask them to change that.",
		pending:    "Waiting for your confirmation: open the link in the message that asked for it, or tick this and save.",
		despite:    "Comes although everything else is paused.",
		pauseTitle: "Take a break", pause: "Get nothing for 30 days. After that, your choices apply again.", pauseLabel: "Pause for 30 days",
		paused: "We send you nothing until DATE. After that, your choices apply again.", resume: "If you end the pause, your choices apply again at once.", resumeLabel: "End the pause now",
		endTitle: "Unsubscribe from everything", end: "Get nothing from " + company + " any more, on any channel.", endLabel: "Stop all messages",
		stopped: "SMS: you once replied STOP, so we send no texts to your number, whatever you choose here. " +
			"To get them again, reply START to one of our texts.",
		stoppedThere: "you once replied STOP, so we send nothing to your number there, whatever you choose here. " +
			"To get our messages again, reply START to one of them.",
		hungUp: "Automated calls: you once pressed the key that ends them, so we do not call your number, whatever you choose here. " +
			"Please ask " + company + " to change that.",
		suppressed: "we no longer use your address or number, for example because messages did not arrive. Whatever you choose here, nothing goes there. " +
			"Please ask " + company + " to change that.",
		nobodyTitle: "There is nothing to choose", nobody: "This link no longer decides about any messages.",
		email: "E-mail", voice: "Automated calls",
		done: map[response.Done]string{
			response.Saved:      "Your choices are saved.",
			response.AllEnded:   "You are unsubscribed from everything.",
			response.PauseBegun: "The pause has begun.",
			response.PauseOver:  "The pause is over.",
			response.Stale:      "Nothing was saved: your choices have changed since this page was opened. This is what applies now.",
		},
	}
}

// day is a date in words.
func day(lang string, t time.Time) string {
	if lang == "en" {
		return t.Format("2 January 2006")
	}
	months := [...]string{
		"Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November", "Desember",
	}
	return strconv.Itoa(t.Day()) + " " + months[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// confirmationPage is the end of a double opt-in.
func confirmationPage(lang, company string, c response.Confirmation) view {
	w := wording{company: company, topic: c.Topic.Called(lang), channel: c.Channel}
	words := indonesianConfirmation
	if lang == "en" {
		words = englishConfirmation
	}
	v := words(w, c.State)
	if c.State != response.ConfirmOpen {
		v.Link = toPreferences(lang, c.Preferences)
	}
	return v
}

func indonesianConfirmation(w wording, state response.ConfirmState) view {
	by := w.named("e-mail", "telepon otomatis", "pesan")
	switch state {
	case response.ConfirmOpen:
		return view{Title: "Terima " + w.quoted("pesan ini") + "?", Paragraphs: []string{
			"Anda diminta mengonfirmasi bahwa Anda ingin menerima " + by + " tentang " + w.quoted("hal ini") + " dari " + w.company + ".",
			"Kalau bukan Anda yang memintanya, tutup saja halaman ini: tidak ada yang akan dikirim.",
		}, Buttons: []button{{Scope: "confirm", Label: "Ya, kirimkan kepada saya"}}}
	case response.ConfirmDone:
		return view{Title: "Sudah dikonfirmasi", Paragraphs: []string{w.company + " akan mengirimi Anda " + by + " tentang " + w.quoted("hal ini") + "."}}
	case response.ConfirmExpired:
		return view{Title: "Tautan ini sudah kedaluwarsa", Paragraphs: []string{
			"Tautan konfirmasi berlaku 30 hari. Mintalah sekali lagi, atau pilih sendiri di halaman pilihan Anda.",
		}}
	}
	return view{Title: "Tidak ada yang perlu dikonfirmasi", Paragraphs: []string{"Permintaan ini sudah tidak berlaku."}}
}

func englishConfirmation(w wording, state response.ConfirmState) view {
	by := w.named("e-mail", "automated calls", "messages")
	switch state {
	case response.ConfirmOpen:
		return view{Title: "Get " + w.quoted("these messages") + "?", Paragraphs: []string{
			"Please confirm that you would like " + by + " about " + w.quoted("this") + " from " + w.company + ".",
			"If it was not you who asked for it, just close this page: nothing will be sent.",
		}, Buttons: []button{{Scope: "confirm", Label: "Yes, send it to me"}}}
	case response.ConfirmDone:
		return view{Title: "Confirmed", Paragraphs: []string{w.company + " will send you " + by + " about " + w.quoted("this") + "."}}
	case response.ConfirmExpired:
		return view{Title: "This link has expired", Paragraphs: []string{
			"A link to confirm can be used for 30 days. Please ask once more, or choose on your own page.",
		}}
	}
	return view{Title: "There is nothing to confirm", Paragraphs: []string{"This request no longer stands."}}
}
