package privacy

// ownAddresses are the customer's rows of the address book, by the messages to them and the company's row, in all ways in
// which they were written.
const ownAddresses = `
	with own as (
		select a.id, a.hash from addresses a join messages m on m.address_id = a.id where m.customer_key = @key
		union
		select id, hash from addresses where raw = any(@raws) or hash = any(@written)
	), same as (
		select id, hash from own
		union
		select a.id, a.hash from addresses a join own using (hash)
	)`

// exported are the lists of an export, each a query of one JSON object a row, with the arguments key, hash (of the key) and
// raws (addresses of the company's row). Numbers of messages are text: a program that reads JSON may not hold them.
func exported() []struct{ name, sql string } {
	return []struct{ name, sql string }{
		{"erasures", `
		select json_build_object('at', at, 'by', actor, 'row_present', row_present, 'released_at', released_at)::text
		from erasures where key_hash = @hash order by id`},
		{"addresses", ownAddresses + `
		select json_build_object('channel', channel, 'region', region, 'written', raw, 'normalised', normalised, 'kind', kind,
			'unusable', reason, 'seen_at', seen_at)::text
		from addresses where id in (select id from same) order by channel, region, raw`},
		{"suppressions", ownAddresses + `
		select json_build_object('channel', channel, 'address', address, 'reason', reason, 'source', source, 'at', at)::text
		from suppressions where hash in (select hash from same) or hash = any(@written) order by channel, at`},
		{"consents", `
		select json_build_object('at', at, 'channel', channel, 'topic', topic, 'granted', granted, 'pending', pending, 'until', until,
			'source', source, 'evidence', evidence)::text
		from consents where customer_key = @key order by id`},
		{"messages", `
		select json_build_object('message', m.id::text, 'campaign', c.name, 'version', v.number, 'topic', v.topic, 'run', r.id,
			'as_of', r.as_of, 'channel', m.channel, 'state', m.state, 'reason', m.reason, 'not_before', m.not_before, 'not_after', m.not_after,
			'occasions', (select coalesce(json_agg(json_build_object('occasion', o.occasion, 'row', o.row_key) order by o.occasion), '[]')
				from occasions o where o.message_id = m.id),
			'attempts', (select coalesce(json_agg(json_build_object('number', a.number, 'at', a.at, 'handed_over', a.handed_over,
					'verdict', a.verdict, 'code', a.code, 'enhanced', a.enhanced, 'provider_id', a.provider_id, 'words', a.words) order by a.number), '[]')
				from attempts a where a.message_id = m.id),
			'reports', (select coalesce(json_agg(json_build_object('at', d.at, 'status', d.status, 'code', d.code, 'words', d.words) order by d.at, d.status), '[]')
				from delivery_reports d where d.message_id = m.id),
			'hits', (select coalesce(json_agg(json_build_object('at', h.at, 'kind', h.kind, 'part', h.part, 'link', l.url, 'ip', host(h.ip),
					'user_agent', h.user_agent, 'verdict', h.verdict, 'reason', h.reason) order by h.id), '[]')
				from hits h left join links l on (l.version_id, l.part, l.position) = (r.version_id, h.part, h.link)
				where h.message_id = m.id),
			'responses', (select coalesce(json_agg(json_build_object('first_at', p.first_at, 'kind', p.kind, 'part', p.part, 'link', p.link)
					order by p.first_at, p.kind, p.part, p.link), '[]')
				from responses p where p.message_id = m.id),
			'short_links', (select coalesce(json_agg(json_build_object('code', s.code, 'query', s.query, 'made_at', s.made_at) order by s.code), '[]')
				from short_links s where s.message_id = m.id))::text
		from messages m
		join runs r on r.id = m.run_id
		join campaigns c on c.id = r.campaign_id
		join versions v on v.id = r.version_id
		where m.customer_key = @key order by m.id`},
		{"occasions_of_dropped_months", `
		select json_build_object('campaign', c.name, 'occasion', o.occasion, 'row', o.row_key, 'spent', o.spent, 'planned_at', o.planned_at)::text
		from campaigns c
		join occasions o on o.campaign_id = c.id and o.customer_key = @key
		where not exists (select from messages m where m.id = o.message_id)
		order by o.planned_at, c.name, o.occasion`},
		{"letters", `
		select json_build_object('message', m.id::text, 'code', l.code, 'size', l.size, 'content', l.content, 'composed_at', l.composed_at,
			'confirmed_at', l.confirmed_at, 'returned_at', l.returned_at, 'return_reason', l.return_reason)::text
		from messages m join letters l on l.message_id = m.id where m.customer_key = @key order by m.id`},
		{"calls", `
		select json_build_object('message', c.message_id::text, 'name', c.name, 'reason', c.reason, 'offer', c.offer, 'script', c.script,
			'due_at', c.due_at, 'outcome', c.outcome, 'done_at', c.done_at,
			'tries', (select coalesce(json_agg(json_build_object('at', t.at, 'agent', t.agent, 'outcome', t.outcome, 'note', t.note,
					'call_back_at', t.call_back_at) order by t.number), '[]') from call_tries t where t.message_id = c.message_id))::text
		from calls c where c.customer_key = @key order by c.message_id`},
		{"alerts", `
		select json_build_object('at', at, 'desk', desk, 'title', title, 'text', text, 'campaign', campaign, 'message', message_id::text,
			'done_at', done_at)::text
		from alerts where customer_key = @key order by id`},
		{"events", `
		select json_build_object('event', e.name, 'happened_at', e.happened_at, 'at', e.at, 'by', e.actor, 'key', e.key, 'data', e.data,
			'triggered', (select coalesce(json_agg(json_build_object('campaign', c.name, 'outcome', t.outcome, 'run', t.run_id) order by c.name), '[]')
				from triggers t join campaigns c on c.id = t.campaign_id where t.event_id = e.id))::text
		from events e where e.customer_key = @key order by e.id`},
		{"inbound", ownAddresses + `
		select json_build_object('at', at, 'channel', channel, 'from', sender, 'to', recipient, 'text', body, 'media', media, 'kind', kind,
			'message', message_id::text, 'seen_at', seen_at)::text
		from inbound
		where customer_key = @key or customer_key is null and (sender_hash in (select hash from same) or sender_hash = any(@written))
		order by id`},
	}
}
