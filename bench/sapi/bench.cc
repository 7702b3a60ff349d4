/* SPDX-License-Identifier: ISC */
/*
 * Sandboxed API's side of bench/calls.c, which starts it and drives it in rounds, so that both are measured in the same
 * moments: reads lines "echo SIZE COUNT IDLE", "take SIZE COUNT 0", "start 0 COUNT 0", "crash 0 COUNT 0", does each COUNT
 * times, and writes COUNT doubles, nanoseconds. Messages go to standard error.
 */
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "airlock_peer_sapi.sapi.h"
#include "sandboxed_api/sandbox2/result.h"
#include "sandboxed_api/vars.h"

namespace {

double Now() {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

[[noreturn]] void Fail(const char *what) {
	fprintf(stderr, "bench: sapi: %s failed\n", what);
	exit(1);
}

void Idle() {
	struct timespec t = {0, 1000000};
	nanosleep(&t, nullptr);
}

std::unique_ptr<PeerSandbox> Start() {
	auto sandbox = std::make_unique<PeerSandbox>();
	if (!sandbox->Init().ok()) Fail("Init()");
	return sandbox;
}

/* The arrays are allocated in the sandboxee once, as a program that cares for speed does. */
void Echo(PeerSandbox *sandbox, size_t size, int count, bool idle) {
	PeerApi api(sandbox);
	sapi::v::Array<char> in(size), out(size);

	memset(in.GetData(), 'x', size);
	memset(out.GetData(), 'y', size);
	if (!sandbox->Allocate(&in, true).ok() || !sandbox->Allocate(&out, true).ok()) Fail("Allocate()");
	for (int i = -1; i < count; i++) {
		if (idle) Idle();
		double from = Now();
		auto r = api.peer_echo(in.PtrBefore(), size, out.PtrAfter());
		double took = Now() - from;
		if (!r.ok() || *r != static_cast<int>(size)) Fail("echo");
		if (i >= 0) fwrite(&took, sizeof(took), 1, stdout);
	}
}

void Take(PeerSandbox *sandbox, size_t size, int count) {
	PeerApi api(sandbox);
	sapi::v::Array<char> in(size);

	memset(in.GetData(), 'x', size);
	if (!sandbox->Allocate(&in, true).ok()) Fail("Allocate()");
	for (int i = -1; i < count; i++) {
		double from = Now();
		auto r = api.peer_take(in.PtrBefore(), size);
		double took = Now() - from;
		if (!r.ok() || *r != 0) Fail("take");
		if (i >= 0) fwrite(&took, sizeof(took), 1, stdout);
	}
}

/* A further sandboxee, to its first answer. */
void Starts(int count) {
	for (int i = 0; i < count; i++) {
		double from = Now();
		auto sandbox = Start();
		PeerApi api(sandbox.get());
		char x[] = "x";
		sapi::v::Array<char> in(x, 1);
		if (!api.peer_take(in.PtrBefore(), 1).ok()) Fail("first call");
		double took = Now() - from;
		fwrite(&took, sizeof(took), 1, stdout);
	}
}

/* From the call to the status. */
void Crashes(int count) {
	for (int i = 0; i < count; i++) {
		auto sandbox = Start();
		PeerApi api(sandbox.get());
		double from = Now();
		if (api.peer_crash(1).ok()) Fail("crash");
		if (sandbox->AwaitResult().final_status() != sandbox2::Result::SIGNALED) Fail("the crash's status");
		double took = Now() - from;
		fwrite(&took, sizeof(took), 1, stdout);
	}
}

}  // namespace

int main() {
	absl::SetMinLogLevel(absl::LogSeverityAtLeast::kFatal);
	absl::SetStderrThreshold(absl::LogSeverityAtLeast::kFatal);
	absl::InitializeLog();
	auto sandbox = Start();
	char line[64], what[16];
	unsigned long size;
	int count, idle;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %lu %d %d", what, &size, &count, &idle) != 4) Fail("reading what to do");
		if (strcmp(what, "echo") == 0)
			Echo(sandbox.get(), size, count, idle);
		else if (strcmp(what, "take") == 0)
			Take(sandbox.get(), size, count);
		else if (strcmp(what, "start") == 0)
			Starts(count);
		else
			Crashes(count);
		fflush(stdout);
	}
	return 0;
}
