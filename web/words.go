package web

// wording is what sentences are made of.
type wording struct {
	company, topic, channel string
}

// named is the channel's name in a sentence, many for a message that is too old to know its own.
func (w wording) named(email, voice, many string) string {
	switch w.channel {
	case "email":
		return email
	case "voice":
		return voice
	case "sms":
		return "SMS"
	case "whatsapp":
		return "WhatsApp"
	}
	return many
}

// quoted is the topic in a sentence, other where the campaign has none.
func (w wording) quoted(other string) string {
	if w.topic == "" {
		return other
	}
	return "“" + w.topic + "”"
}

func indonesian(w wording, pg page) view {
	topic, by := w.quoted("hal ini"), w.named("e-mail", "telepon otomatis", "pesan")
	end := button{Scope: "topic", Label: "Berhenti menerima " + topic}
	all := button{Scope: "everything", Label: "Berhenti menerima semua pesan dari " + w.company, Quiet: true}
	back := button{Scope: "back", Label: "Terima lagi " + topic, Quiet: true}
	now := button{Scope: "back", Label: "Terima " + topic + " mulai sekarang", Quiet: true}
	switch {
	case pg.kind == pageUnknown:
		return view{Title: "Tautan ini tidak dikenal", Paragraphs: []string{
			"Mungkin tautan terpotong saat disalin. Bukalah langsung dari pesan yang Anda terima.",
		}}
	case pg.kind == pageTrouble:
		return view{Title: "Sedang ada gangguan", Paragraphs: []string{
			"Permintaan Anda belum tercatat. Silakan coba lagi sebentar lagi.",
		}}
	case pg.subscription.All:
		return view{Title: "Anda sudah berhenti berlangganan", Paragraphs: []string{
			w.company + " tidak akan mengirimi Anda pesan apa pun lagi, lewat saluran mana pun.",
		}, Buttons: []button{back}}
	case pg.subscription.Ended:
		return view{Title: "Anda sudah berhenti berlangganan", Paragraphs: []string{
			w.company + " tidak akan mengirimi Anda " + by + " tentang " + topic + " lagi.",
		}, Buttons: []button{all, back}}
	case !pg.subscription.Paused.IsZero():
		return view{Title: "Sedang jeda", Paragraphs: []string{
			w.company + " tidak mengirimi Anda apa pun sampai " + day("id", pg.subscription.Paused) + ". Setelah itu Anda menerima " + by + " tentang " + topic + " lagi.",
			"Belum ada yang berubah sampai Anda memilih.",
		}, Buttons: []button{end, all, now}}
	case pg.back:
		return view{Title: "Anda berlangganan lagi", Paragraphs: []string{
			w.company + " akan mengirimi Anda " + by + " tentang " + topic + ".",
		}, Buttons: []button{end, all}}
	}
	return view{Title: "Berhenti berlangganan?", Paragraphs: []string{
		"Anda menerima " + by + " tentang " + topic + " dari " + w.company + ".",
		"Belum ada yang berubah sampai Anda memilih.",
	}, Buttons: []button{end, all}}
}

func english(w wording, pg page) view {
	topic, by := w.quoted("this"), w.named("e-mail", "automated calls", "messages")
	end := button{Scope: "topic", Label: "Stop sending me " + topic}
	all := button{Scope: "everything", Label: "Stop all messages from " + w.company, Quiet: true}
	back := button{Scope: "back", Label: "Send me " + topic + " again", Quiet: true}
	now := button{Scope: "back", Label: "Send me " + topic + " from now on", Quiet: true}
	switch {
	case pg.kind == pageUnknown:
		return view{Title: "We don’t know this link", Paragraphs: []string{
			"Part of it may have been lost when it was copied. Please open it from the message you received.",
		}}
	case pg.kind == pageTrouble:
		return view{Title: "Something is not working", Paragraphs: []string{
			"Your request has not been recorded. Please try again in a moment.",
		}}
	case pg.subscription.All:
		return view{Title: "You are unsubscribed", Paragraphs: []string{
			w.company + " will not send you anything any more, on any channel.",
		}, Buttons: []button{back}}
	case pg.subscription.Ended:
		return view{Title: "You are unsubscribed", Paragraphs: []string{
			w.company + " will not send you " + by + " about " + topic + " any more.",
		}, Buttons: []button{all, back}}
	case !pg.subscription.Paused.IsZero():
		return view{Title: "You have paused our messages", Paragraphs: []string{
			w.company + " sends you nothing until " + day("en", pg.subscription.Paused) + ". After that you will get " + by + " about " + topic + " again.",
			"Nothing changes until you choose.",
		}, Buttons: []button{end, all, now}}
	case pg.back:
		return view{Title: "You are subscribed again", Paragraphs: []string{
			w.company + " will send you " + by + " about " + topic + ".",
		}, Buttons: []button{end, all}}
	}
	return view{Title: "Unsubscribe?", Paragraphs: []string{
		"You receive " + by + " about " + topic + " from " + w.company + ".",
		"Nothing changes until you choose.",
	}, Buttons: []button{end, all}}
}
