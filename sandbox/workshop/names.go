package workshop

// names are what people in the workshop's books are called. Many Indonesians have one name only, and most have no family
// name, so a "last name" is a second name like any other.
type names struct {
	men, women, second, single []string
}

func newNames() names {
	return names{
		men: []string{
			"Adi", "Aditya", "Agung", "Agus", "Ahmad", "Aldi", "Alfian", "Andi", "Andreas", "Anton", "Ardi", "Arief", "Aris",
			"Asep", "Bagas", "Bagus", "Bambang", "Bayu", "Benny", "Budi", "Cahyo", "Cecep", "Danang", "Daniel", "Darmawan",
			"Dedi", "Denny", "Dimas", "Djoko", "Eko", "Fajar", "Fauzi", "Ferdinand", "Gede", "Gilang", "Gunawan", "Hadi",
			"Hendra", "Herman", "Ilham", "Imam", "Indra", "Irfan", "Iwan", "Joko", "Ketut", "Krisna", "Lukman", "Made",
			"Maruli", "Muhammad", "Nanang", "Nyoman", "Oka", "Pandu", "Prasetyo", "Putu", "Rahmat", "Rangga", "Rendra",
			"Reza", "Ridwan", "Rizal", "Rizki", "Rudi", "Satria", "Slamet", "Sigit", "Surya", "Taufik", "Teguh", "Tono",
			"Ujang", "Untung", "Wahyu", "Wawan", "Wayan", "Yanto", "Yohanes", "Yudi", "Yusuf", "Zainal",
		},
		women: []string{
			"Ade", "Aisyah", "Anisa", "Ani", "Astuti", "Ayu", "Bunga", "Citra", "Desi", "Devi", "Dewi", "Dian", "Dina",
			"Eka", "Elisabeth", "Endang", "Erna", "Fatimah", "Fitri", "Gita", "Hana", "Hesti", "Ika", "Indah", "Intan",
			"Ira", "Jihan", "Kadek", "Kartika", "Komang", "Lestari", "Lia", "Lilis", "Linda", "Luh", "Maria", "Maya",
			"Mega", "Melati", "Murni", "Nadia", "Nia", "Ningsih", "Novi", "Nur", "Nurul", "Olivia", "Puspita", "Putri",
			"Rahayu", "Ratih", "Ratna", "Retno", "Rina", "Rini", "Rosa", "Sari", "Sinta", "Siti", "Sri", "Suci", "Susi",
			"Tika", "Titin", "Tri", "Utami", "Vina", "Wahyuni", "Widya", "Wulan", "Yanti", "Yulia", "Yuni", "Zahra",
		},
		second: []string{
			"Anggraini", "Ardiansyah", "Aritonang", "Budiman", "Chandra", "Damanik", "Darmawan", "Effendi", "Fadilah",
			"Firmansyah", "Ginting", "Gunawan", "Halim", "Hakim", "Handayani", "Hartono", "Hasanah", "Hidayat", "Hutapea",
			"Irawan", "Iskandar", "Kurniawan", "Kusuma", "Laksono", "Lestari", "Lubis", "Mahendra", "Manurung", "Maulana",
			"Mulyadi", "Nainggolan", "Nasution", "Nugroho", "Nurhaliza", "Pangestu", "Permana", "Pradana", "Pranoto",
			"Pratama", "Pratiwi", "Purnama", "Purnomo", "Purwanto", "Rachman", "Rahmawati", "Ramadhan", "Riyadi", "Safitri",
			"Salim", "Santoso", "Saputra", "Sasongko", "Setiawan", "Setyawati", "Siahaan", "Silalahi", "Simanjuntak",
			"Siregar", "Sitompul", "Subagyo", "Sudirman", "Suharto", "Sukarno", "Sulaiman", "Supriyadi", "Suryani",
			"Susanto", "Sutanto", "Suwarno", "Syahputra", "Tanjung", "Utomo", "Wahid", "Wibisono", "Wibowo", "Widodo",
			"Wijaya", "Winarno", "Wirawan", "Yulianti", "Yuwono", "Zulkarnain",
		},
		single: []string{
			"Boediono", "Darmi", "Darsono", "Gimin", "Harjono", "Kardi", "Karsinah", "Lasmi", "Legiman", "Marsinah", "Mulyono",
			"Ngadiman", "Paijo", "Painem", "Ponirah", "Poniman", "Rukmini", "Sarinah", "Sariyem", "Slamet", "Soekirman",
			"Soeparman", "Sugeng", "Sugiyono", "Suharti", "Sukarni", "Sukiman", "Sumarni", "Sumiyati", "Sunarto",
			"Suparman", "Supardi", "Supriyanto", "Surati", "Sutarman", "Sutinah", "Sutrisno", "Suwarti", "Suyatno",
			"Tukijan", "Tukiyem", "Wagiman", "Wagirah", "Wakidi", "Warsito", "Wasis", "Yatmi",
		},
	}
}

// city is where a customer lives: the letters that plates of its region begin with, and its time zone.
type city struct {
	name, plate, zone string
	weight            int
}

func newCities() []city {
	const wib, wita, wit = "Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"
	return []city{
		{"Semarang", "H", wib, 260},
		{"Kendal", "H", wib, 40},
		{"Salatiga", "H", wib, 40},
		{"Kudus", "K", wib, 40},
		{"Jakarta", "B", wib, 120},
		{"Bekasi", "B", wib, 30},
		{"Depok", "B", wib, 25},
		{"Tangerang", "B", wib, 25},
		{"Bandung", "D", wib, 50},
		{"Bogor", "F", wib, 20},
		{"Cirebon", "E", wib, 15},
		{"Yogyakarta", "AB", wib, 60},
		{"Surakarta", "AD", wib, 50},
		{"Magelang", "AA", wib, 30},
		{"Purwokerto", "R", wib, 15},
		{"Pekalongan", "G", wib, 20},
		{"Surabaya", "L", wib, 50},
		{"Malang", "N", wib, 20},
		{"Kediri", "AG", wib, 10},
		{"Madiun", "AE", wib, 10},
		{"Jember", "P", wib, 8},
		{"Medan", "BK", wib, 15},
		{"Padang", "BA", wib, 8},
		{"Palembang", "BG", wib, 8},
		{"Bandar Lampung", "BE", wib, 8},
		{"Pontianak", "KB", wib, 5},
		{"Denpasar", "DK", wita, 20},
		{"Mataram", "DR", wita, 5},
		{"Kupang", "DH", wita, 4},
		{"Makassar", "DD", wita, 15},
		{"Manado", "DB", wita, 6},
		{"Balikpapan", "KT", wita, 8},
		{"Banjarmasin", "DA", wita, 6},
		{"Ambon", "DE", wit, 4},
		{"Jayapura", "PA", wit, 5},
		{"Sorong", "PY", wit, 3},
	}
}

type car struct{ brand, model string }

func newCars() []car {
	return []car{
		{"Toyota", "Avanza"},
		{"Toyota", "Avanza"},
		{"Toyota", "Kijang Innova"},
		{"Toyota", "Calya"},
		{"Toyota", "Rush"},
		{"Toyota", "Agya"},
		{"Toyota", "Fortuner"},
		{"Daihatsu", "Xenia"},
		{"Daihatsu", "Sigra"},
		{"Daihatsu", "Gran Max"},
		{"Daihatsu", "Terios"},
		{"Honda", "Brio"},
		{"Honda", "Brio"},
		{"Honda", "Jazz"},
		{"Honda", "HR-V"},
		{"Honda", "Mobilio"},
		{"Suzuki", "Ertiga"},
		{"Suzuki", "Carry"},
		{"Suzuki", "XL7"},
		{"Mitsubishi", "Xpander"},
		{"Mitsubishi", "L300"},
		{"Mitsubishi", "Pajero Sport"},
		{"Nissan", "Livina"},
		{"Hyundai", "Creta"},
		{"Wuling", "Confero"},
		{"Isuzu", "Panther"},
	}
}

// work is a thing that the workshop does, with the range of its price in rupiah.
type work struct {
	kind      string
	low, high int64
}

func newWorks() []work {
	return []work{
		{"oil change", 350_000, 750_000},
		{"oil change", 350_000, 750_000},
		{"tune-up", 500_000, 1_200_000},
		{"brakes", 600_000, 2_200_000},
		{"tires", 1_800_000, 5_600_000},
		{"battery", 850_000, 1_900_000},
		{"air conditioning", 400_000, 2_500_000},
		{"wash", 60_000, 150_000},
	}
}
