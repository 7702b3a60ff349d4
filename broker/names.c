/* SPDX-License-Identifier: ISC */
/*
 * Owns what the names of hosts in rules stand for: pins. A pin is an address that the resolver gave for a name, for as
 * long as its owner said (within bounds); it allows that address to rules with that name, if it is a public one or the
 * rule says +private. Nothing that a target says, asks or resolves makes a pin. Runs in the broker, on lanes, which decide
 * by the pins there are, and on slow workers, which wait for new ones. The lock is never held while anything waits.
 */
#include "broker/names.h"
#include "broker/resolver.h"
#include "ipc/ipc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PINS 64 /* of a name: two full answers, for those who give others each time */
#define AGAIN_MS 1000 /* so long an answer is not doubted */
#define FAILED_MS 3000 /* nor a failure */
/* A pin outlives what lies between a program's lookup and its connect (a slow start, the wait for another address of the
 * name), whatever the life time: 0 would make a name useless, or one resolution out of every connect. A name that has
 * moved on is believed this much longer, and only where it was allowed to begin with. */
#define TTL_MIN_MS 10000
#define TTL_MAX_MS 3600000
#define TTL_UNKNOWN_MS 60000
#define ANSWER_MS 25000 /* the resolver's own deadline, and some */
#define HOSTS_MS 5000 /* what an open of /etc/hosts waits for names */
#define SLICE_MS 100
#define NEVER (INT64_MIN / 2)

struct pin {
	uint8_t ip[16];
	int64_t until; /* by its life time */
	int64_t shown; /* a target was told of it: it holds for a moment yet */
};

struct host {
	const char *name;
	int asked; /* the socket that an answer comes by; -1 */
	int64_t since; /* when it was asked */
	int64_t last; /* when it was answered last */
	bool failed; /* that was no answer */
	size_t count;
	struct pin pins[PINS];
};

struct names {
	int server;
	pthread_mutex_t lock;
	size_t count;
	struct host hosts[]; /* sorted by name */
};

/* Goes on while the machine sleeps, as life times do. */
static int64_t now_ms(void)
{
	return ipc_clock_ms(CLOCK_BOOTTIME);
}

/* ---- the list of names ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct host *)a)->name, ((const struct host *)b)->name);
}

static struct host *find(struct names *n, const char *name)
{
	struct host key = {.name = name};
	return bsearch(&key, n->hosts, n->count, sizeof(key), by_name);
}

static bool listed(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->hosts[i].name, name) == 0)
			return true;
	return false;
}

int names_start(struct broker *b, const char *title)
{
	const struct policy *p = &b->policy;
	if (!policy_has_names(p))
		return 0;
	struct names *n = calloc(1, sizeof(*n) + p->address_count * sizeof(n->hosts[0]));
	if (!n)
		return -ENOMEM;
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		if (policy_address_is_name(a) && !listed(n, a->host))
			n->hosts[n->count++] = (struct host){.name = a->host, .asked = -1, .last = NEVER};
	}
	qsort(n->hosts, n->count, sizeof(n->hosts[0]), by_name);
	pthread_mutex_init(&n->lock, NULL);
	n->server = resolver_start(b, title);
	if (n->server < 0) {
		int r = n->server;
		pthread_mutex_destroy(&n->lock);
		free(n);
		return r;
	}
	b->names = n;
	return 0;
}

int names_descriptor(const struct broker *b)
{
	return b->names ? b->names->server : -1;
}

/* Another thread may have been in the middle of anything; its sockets are closed. */
void names_forget(struct broker *b)
{
	struct names *n = b->names;
	for (size_t i = 0; n && i < n->count; i++)
		n->hosts[i] = (struct host){.name = n->hosts[i].name, .asked = -1, .last = NEVER};
	if (n)
		pthread_mutex_init(&n->lock, NULL);
}

/* ---- pins ---- */

static bool alive(const struct pin *p, int64_t now)
{
	return now < p->until || now - p->shown < TTL_MIN_MS;
}

/* One for ip: the one it has, an empty one, one that has expired, else the one that would expire first. */
static struct pin *pin_for(struct host *h, const uint8_t ip[16], int64_t now)
{
	struct pin *first = &h->pins[0];
	for (size_t i = 0; i < h->count; i++) {
		struct pin *p = &h->pins[i];
		if (memcmp(p->ip, ip, 16) == 0)
			return p;
		if ((alive(p, now) ? p->until : NEVER) < (alive(first, now) ? first->until : NEVER))
			first = p;
	}
	if (h->count < PINS)
		first = &h->pins[h->count++];
	*first = (struct pin){.until = NEVER, .shown = NEVER};
	memcpy(first->ip, ip, 16);
	return first;
}

/* What the resolver wrote, which read what a nameserver wrote. */
static bool take(struct host *h, const struct resolver_answer *a, ssize_t len, int64_t now)
{
	if (len != (ssize_t)sizeof(*a) || a->error || !a->count || a->count > RESOLVER_ADDRESSES)
		return false;
	int64_t life = a->ttl == RESOLVER_TTL_UNKNOWN ? TTL_UNKNOWN_MS : (int64_t)a->ttl * 1000;
	life = life < TTL_MIN_MS ? TTL_MIN_MS : life > TTL_MAX_MS ? TTL_MAX_MS : life;
	for (size_t i = 0; i < a->count; i++) {
		struct pin *p = pin_for(h, a->ips[i], now);
		if (p->until < now + life)
			p->until = now + life;
	}
	return true;
}

/* Whether there is an answer to what was asked, or will be none. */
static void collect(struct host *h, int64_t now)
{
	struct resolver_answer a;
	if (h->asked < 0)
		return;
	/* Descriptors that come along are let go by the kernel. */
	ssize_t n = recv(h->asked, &a, sizeof(a), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR) && now - h->since < ANSWER_MS)
		return;
	close(h->asked);
	h->asked = -1;
	h->failed = !take(h, &a, n, now);
	h->last = now;
}

/* Whether it may be asked (again) by somebody who found nothing for him at that time. */
static bool doubtful(const struct host *h, int64_t then)
{
	return then - h->last >= (h->failed ? FAILED_MS : AGAIN_MS);
}

static bool pinned(const struct host *h, const struct address *rule, const uint8_t ip[16], int64_t now)
{
	if (!rule->private_ok && !policy_address_public(ip))
		return false;
	for (size_t i = 0; i < h->count; i++)
		if (memcmp(h->pins[i].ip, ip, 16) == 0 && alive(&h->pins[i], now))
			return true;
	return false;
}

static bool any_live(const struct host *h, int64_t now)
{
	for (size_t i = 0; i < h->count; i++)
		if (now < h->pins[i].until)
			return true;
	return false;
}

/* ---- waiting for new ones ---- */

struct wanted {
	bool host[POLICY_ADDRESSES_MAX]; /* by index */
	int64_t begun;
	int64_t patience; /* from when the name was asked, whoever did */
};

/* Asks for what is wanted and has neither been asked nor answered since. What is still to come, as many descriptors; *more:
 * the resolver has its hands full. Under the lock. */
static nfds_t ask_wanted(struct names *n, const struct wanted *w, struct pollfd *p, bool *more)
{
	nfds_t count = 0;
	int64_t now = now_ms();
	*more = false;
	for (size_t i = 0; i < n->count; i++) {
		struct host *h = &n->hosts[i];
		if (!w->host[i])
			continue;
		collect(h, now);
		if (h->asked < 0 && doubtful(h, w->begun)) {
			h->asked = resolver_ask(n->server, h->name);
			h->since = now;
			if (h->asked == -EAGAIN && now - w->begun < w->patience) {
				*more = true;
			} else if (h->asked < 0) {
				h->failed = true;
				h->last = now;
			}
			if (h->asked < 0)
				h->asked = -1;
		}
		if (h->asked >= 0 && now - h->since < w->patience)
			p[count++] = (struct pollfd){h->asked, POLLIN, 0};
	}
	return count;
}

/* On a slow worker. Several may wait for one answer: whoever wakes first takes it, and all see what it was. 0 or -EINTR. */
static int await(struct names *n, const struct wanted *w)
{
	struct pollfd p[POLICY_ADDRESSES_MAX];
	bool more;
	for (;;) {
		pthread_mutex_lock(&n->lock);
		nfds_t count = ask_wanted(n, w, p, &more);
		pthread_mutex_unlock(&n->lock);
		if (!count && !more)
			return 0;
		/* Another may take the answer and close its socket just before this: hence the slices. */
		if (poll(p, count, SLICE_MS) < 0 && errno == EINTR)
			return -EINTR;
	}
}

/* ---- what is asked of it ---- */

static bool matches(const struct address *a, const struct contact *to)
{
	return policy_address_is_name(a) && a->kind == to->kind && a->bind == to->bind && to->port >= a->port_low &&
	       to->port <= a->port_high;
}

/* Whether a pin allows it; *w gets those that may have new ones. Under the lock. */
static const struct address *judge_pins(
	struct names *n, const struct policy *p, const struct contact *to, struct wanted *w, bool *any)
{
	int64_t now = now_ms();
	*any = false;
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		struct host *h = matches(a, to) ? find(n, a->host) : NULL;
		if (!h)
			continue;
		collect(h, now);
		if (pinned(h, a, to->ip, now))
			return a;
		if ((a->private_ok || policy_address_public(to->ip)) && (h->asked >= 0 || doubtful(h, now)))
			*any = w->host[h - n->hosts] = true;
	}
	return NULL;
}

int names_judge(struct request *r, const struct contact *to)
{
	struct names *n = r->family->broker->names;
	const struct policy *p = policy_of(r);
	struct wanted w = {.begun = now_ms(), .patience = ANSWER_MS};
	bool any;
	if (!n)
		return -EACCES;
	for (bool again = false;; again = true) {
		pthread_mutex_lock(&n->lock);
		const struct address *rule = judge_pins(n, p, to, &w, &any);
		pthread_mutex_unlock(&n->lock);
		if (rule)
			r->rule = rule;
		if (rule || !any || again)
			return rule ? 0 : -EACCES;
		if (!r->slow)
			return DECIDED_LATER;
		int e = await(n, &w);
		if (e < 0)
			return e;
	}
}

bool names_known(const struct request *r, const uint8_t ip[16], uint16_t port)
{
	struct names *n = r->family->broker->names;
	const struct policy *p = policy_of(r);
	int64_t now = now_ms();
	bool is = false;
	if (!n)
		return false;
	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < p->address_count && !is; i++) {
		const struct address *a = &p->addresses[i];
		/* A lookup without a service has no port. */
		const struct contact to = {.kind = ADDRESS_TCP, .port = port ? port : a->port_low};
		const struct host *h = matches(a, &to) ? find(n, a->host) : NULL;
		is = h && pinned(h, a, ip, now);
	}
	pthread_mutex_unlock(&n->lock);
	return is;
}

/* ---- /etc/hosts ---- */

/* Which hosts r's rules have, and of those which may be shown with addresses that are not public. */
struct shown {
	bool host[POLICY_ADDRESSES_MAX], private_ok[POLICY_ADDRESSES_MAX];
};

static void shown_of(struct names *n, const struct policy *p, struct shown *s)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		struct host *h = policy_address_is_name(a) ? find(n, a->host) : NULL;
		if (!h)
			continue;
		s->host[h - n->hosts] = true;
		s->private_ok[h - n->hosts] |= a->private_ok;
	}
}

#define LINE (INET6_ADDRSTRLEN + RESOLVER_NAME + 3)

/* The text, and its length. Under the lock. */
static char *write_pins(struct names *n, const struct shown *s, size_t *len)
{
	int64_t now = now_ms();
	static const char head[] = "# hosts of the policy's rules\n";
	size_t room = sizeof(head);
	for (size_t i = 0; i < n->count; i++)
		room += s->host[i] ? n->hosts[i].count * LINE : 0;
	char *text = malloc(room);
	*len = text ? (size_t)snprintf(text, room, "%s", head) : 0;
	for (size_t i = 0; i < n->count && text; i++) {
		struct host *h = &n->hosts[i];
		for (size_t k = 0; s->host[i] && k < h->count; k++) {
			struct pin *p = &h->pins[k];
			char ip[INET6_ADDRSTRLEN];
			bool v4 = memcmp(p->ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
			if (now >= p->until || !(s->private_ok[i] || policy_address_public(p->ip)))
				continue;
			inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? p->ip + 12 : p->ip, ip, sizeof(ip));
			*len += (size_t)snprintf(text + *len, room - *len, "%s %s\n", ip, h->name);
			p->shown = now;
		}
	}
	return text;
}

int names_hosts(struct request *r, bool look, char **text, size_t *len)
{
	struct names *n = r->family->broker->names;
	struct wanted w = {.begun = now_ms(), .patience = HOSTS_MS};
	struct shown s;
	bool any = false;
	shown_of(n, policy_of(r), &s);
	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->count; i++) {
		struct host *h = &n->hosts[i];
		collect(h, w.begun);
		bool waits = h->asked >= 0 ? w.begun - h->since < HOSTS_MS : doubtful(h, w.begun);
		if (s.host[i] && !look && !any_live(h, w.begun) && waits)
			any = w.host[i] = true;
	}
	pthread_mutex_unlock(&n->lock);
	if (any && !r->slow)
		return DECIDED_LATER;
	int e = any ? await(n, &w) : 0;
	if (e < 0)
		return e;
	pthread_mutex_lock(&n->lock);
	*text = write_pins(n, &s, len);
	pthread_mutex_unlock(&n->lock);
	return *text ? 0 : -ENOMEM;
}
