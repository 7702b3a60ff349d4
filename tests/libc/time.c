/* SPDX-License-Identifier: ISC */
/* Time zones, clocks, timers. */
#include "checks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static const time_t moment = 1785945600; /* in August of 2026 */

static void at(const char *zone, time_t when)
{
	char text[128];
	if (zone)
		setenv("TZ", zone, 1);
	else
		unsetenv("TZ");
	tzset();
	struct tm tm;
	localtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z %s %j %U %G-W%V", &tm);
	say("%s: %s %ld %d %d %s %s", zone ? zone : "-", text, timezone, daylight, tm.tm_isdst, tzname[0], tzname[1]);
	say("%s %lld", asctime_r(&tm, text), (long long)mktime(&tm));
}

static void zones(void)
{
	static const char *const list[] = {NULL, "UTC", "Europe/Berlin", ":America/New_York", "Asia/Kolkata", "",
		"Egypt", "GB-Eire", "EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3", "right/UTC", "Nowhere/Land",
		":/etc/localtime", "/usr/share/zoneinfo/Asia/Tokyo", ":localtime", "posixrules", NULL};
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
			at(list[i], moment + round * 15000000);
	for (int i = 0; i < 200; i++) {
		setenv("TZ", i % 2 ? "Europe/London" : "Asia/Tokyo", 1);
		tzset();
		if (i % 67 == 0)
			at(i % 2 ? "Europe/London" : "Asia/Tokyo", moment);
	}
}

static void dates(void)
{
	struct tm tm;
	char text[64];
	memset(&tm, 0, sizeof(tm));
	const char *end = strptime("2026-03-21 04:05:06", "%Y-%m-%d %H:%M:%S", &tm);
	say("%d %d %d %d", end != NULL, tm.tm_year, tm.tm_yday, tm.tm_hour);
	say("%lld %s", (long long)timegm(&tm), ctime_r(&moment, text));
	gmtime_r(&moment, &tm);
	say("%d %d", tm.tm_hour, tm.tm_yday);
	say("%d", localtime(&moment) != NULL);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rang = PTHREAD_COND_INITIALIZER;
static int rings;

static void on_timer(union sigval v)
{
	pthread_mutex_lock(&lock);
	rings += v.sival_int;
	pthread_cond_signal(&rang);
	pthread_mutex_unlock(&lock);
}

static void clocks(void)
{
	static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
		CLOCK_THREAD_CPUTIME_ID, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_REALTIME_COARSE};
	struct timespec t, a, b, nap = {0, 2000000};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		say("%d %d", clock_gettime(ids[i], &t), clock_getres(ids[i], &t));
	struct timeval tv;
	struct tms tms;
	say("%d %d %d %d", gettimeofday(&tv, NULL), time(NULL) > 0, times(&tms) != (clock_t)-1, clock() >= 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	say("%d %d %d", nanosleep(&nap, NULL), clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL), usleep(1000));
	clock_gettime(CLOCK_MONOTONIC, &b);
	say("%d", b.tv_sec > a.tv_sec || b.tv_nsec - a.tv_nsec >= 5000000);
	clockid_t own;
	int e = clock_getcpuclockid(0, &own);
	say("%d %d", e, clock_gettime(own, &t));
	signal(SIGALRM, on_alarm);
	struct itimerval soon = {{0, 0}, {0, 1000}};
	setitimer(ITIMER_REAL, &soon, NULL);
	while (!alarms)
		usleep(1000);
	say("%d %d", (int)alarms, (int)alarm(0));
}

static void timers(void)
{
	timer_t timer;
	struct sigevent event;
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD;
	event.sigev_notify_function = on_timer;
	event.sigev_value.sival_int = 5;
	say("%d", timer_create(CLOCK_MONOTONIC, &event, &timer));
	struct itimerspec soon = {{0, 0}, {0, 1000000}};
	say("%d", timer_settime(timer, 0, &soon, NULL));
	pthread_mutex_lock(&lock);
	while (!rings)
		pthread_cond_wait(&rang, &lock);
	pthread_mutex_unlock(&lock);
	say("%d", rings);
	say("%d", timer_getoverrun(timer));
	say("%d", timer_delete(timer));
}

const struct libc_check time_checks[] = {
	{"localtime-zones", "stdio", NULL, 0, zones},
	{"strptime-timegm", "stdio", NULL, 0, dates},
	{"clocks", "stdio", NULL, 0, clocks},
	{"timer-thread", "stdio", NULL, 0, timers},
	{NULL, NULL, NULL, 0, NULL},
};
