// SPDX-License-Identifier: ISC
// What the C++ library does: streams, exceptions, threads, locales.
#include "checks.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iomanip>
#include <iostream>
#include <locale>
#include <memory>
#include <mutex>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static void streams()
{
	std::cout << "words " << 42 << ' ' << std::setprecision(12) << 3.14159265358979 << ' ' << std::hex << 255
		  << std::endl;
	std::wostringstream w;
	w << L"wide " << 1.5;
	std::cout << w.str().size() << '\n';
	std::ifstream null("/dev/null");
	std::cout << null.is_open() << null.peek() << '\n';
	std::istringstream in("1 2.5 three");
	int a;
	double b;
	std::string c;
	in >> a >> b >> c;
	std::cout << a << b << c << '\n';
	std::cerr << "to cerr\n";
	std::cout << std::flush;
}

static void exceptions()
{
	for (int i = 0; i < 3; i++) {
		try {
			if (i == 0)
				throw std::runtime_error("thrown");
			if (i == 1)
				std::vector<int>().at(7);
			throw i;
		} catch (const std::exception &e) {
			say("%d", e.what()[0] != 0);
		} catch (int n) {
			say("%d", n);
		}
	}
	try {
		std::unique_ptr<char[]> p(new char[size_t(1) << 62]);
		say("%d", p != nullptr);
	} catch (const std::bad_alloc &) {
		say("bad_alloc");
	}
}

static void handled()
{
	std::exception_ptr kept;
	std::thread t([&] {
		try {
			throw std::logic_error("in a thread");
		} catch (...) {
			kept = std::current_exception();
		}
	});
	t.join();
	try {
		std::rethrow_exception(kept);
	} catch (const std::exception &e) {
		say("%s", e.what());
	}
	try {
		throw std::out_of_range("range");
	} catch (const std::logic_error &e) {
		say("%s", e.what());
	}
}

static void threads()
{
	std::mutex m;
	int sum = 0;
	std::vector<std::thread> list;
	for (int i = 0; i < 8; i++)
		list.emplace_back([&, i] {
			std::lock_guard<std::mutex> hold(m);
			sum += i;
		});
	for (auto &t : list)
		t.join();
	auto f = std::async(std::launch::async, [] { return 6 * 7; });
	say("%d %d %d", sum, f.get(), std::thread::hardware_concurrency() > 0);
	std::this_thread::sleep_for(std::chrono::milliseconds(1));
	std::random_device d;
	say("%d", d() != d() || d() != d());
}

static void locales()
{
	static const char *const names[] = {"C", "POSIX", "C.UTF-8", "nowhere"};
	for (const char *name : names) {
		try {
			std::locale l(name);
			std::ostringstream out;
			out.imbue(l);
			out << 1234567.25;
			say("%s %s %s", name, l.name().c_str(), out.str().c_str());
		} catch (const std::runtime_error &) {
			say("%s: none", name);
		}
	}
	std::regex r("([a-z]+)-([0-9]+)");
	std::smatch found;
	std::string text = "abc-123";
	say("%d %zu", std::regex_match(text, found, r), found.size());
	auto t = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
	std::ostringstream out;
	out << std::put_time(std::localtime(&t), "%Z");
	say("%s", out.str().c_str());
}

static void files()
{
	namespace fs = std::filesystem;
	fs::create_directories("a/b");
	std::ofstream("a/b/file") << "text";
	for (const auto &e : fs::recursive_directory_iterator("."))
		say("%d", e.is_directory());
	say("%d %d", int(fs::file_size("a/b/file")), fs::exists("a/none"));
	fs::rename("a/b/file", "moved");
	say("%d %d", int(fs::remove_all("a")), fs::is_regular_file("moved"));
	say("%d", fs::current_path() == fs::canonical("."));
}

static void terminated()
{
	setvbuf(stdout, nullptr, _IONBF, 0);
	throw std::runtime_error("nobody catches this");
}

extern "C" {
const struct libc_check cxx_checks[] = {
	{"cxx-iostreams", "stdio", nullptr, 0, streams},
	{"cxx-exceptions-elsewhere", "stdio", nullptr, 0, handled},
	{"cxx-exceptions", "stdio", nullptr, 0, exceptions},
	{"cxx-threads", "stdio", nullptr, 0, threads},
	{"cxx-locale-regex", "stdio", nullptr, 0, locales},
	{"cxx-filesystem", "stdio rpath wpath cpath fattr", "rwc:@", 0, files},
	{"cxx-terminate", "stdio", nullptr, 0, terminated},
	{nullptr, nullptr, nullptr, 0, nullptr},
};
}
