#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Jobs that do nothing, per second, with two workers: Weir's pool beside Python's, in rounds one after the other.

Usage: pool_peers.py POOL_JOBS ROUNDS. POOL_JOBS is the program that measures Weir. Each figure is the median of the
rounds; exit status 1: Weir is less than five times as fast as the fastest peer.
"""
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pebble

JOBS = 4000
WEIR_JOBS = 100000
WARM_UP = 200
WORKERS = 2


def nothing(number):
    return number


def measured(run):
    """Jobs per second of run(count), which returns the sum of all results."""
    run(WARM_UP)
    begun = time.perf_counter()
    total = run(JOBS)
    taken = time.perf_counter() - begun
    assert total == JOBS * (JOBS - 1) // 2
    return JOBS / taken


def futures_submit():
    with ProcessPoolExecutor(WORKERS) as pool:
        return measured(lambda count: sum(f.result() for f in [pool.submit(nothing, i) for i in range(count)]))


def futures_map():
    with ProcessPoolExecutor(WORKERS) as pool:
        return measured(lambda count: sum(pool.map(nothing, range(count))))


def pebble_schedule():
    with pebble.ProcessPool(WORKERS) as pool:
        return measured(lambda count: sum(f.result() for f in [pool.schedule(nothing, [i]) for i in range(count)]))


def pebble_map():
    with pebble.ProcessPool(WORKERS) as pool:
        return measured(lambda count: sum(pool.map(nothing, range(count)).result()))


def work(jobs, results, job_lock, result_lock, tells):
    while True:
        with job_lock:
            job = jobs.recv()
        if job is None:
            return
        if tells:
            with result_lock:
                results.send((job, "began"))
        result = nothing(job)
        with result_lock:
            results.send((job, "done", result))


def one_pipe(tells):
    """All workers read one pipe under one lock, and write another one under another lock: pebble's design without its
    threads, futures and limits. tells: a worker says which job it begins, as pebble's do: without that neither can a
    limit be kept nor a lost job be named."""
    jobs, results = multiprocessing.Pipe(duplex=False), multiprocessing.Pipe(duplex=False)
    locks = multiprocessing.Lock(), multiprocessing.Lock()
    workers = [
        multiprocessing.Process(target=work, args=(jobs[0], results[1], *locks, tells)) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()

    def run(count):
        total = sent = done = 0
        while done < count:
            while sent < count and sent - done < 500:  # neither pipe fills up
                jobs[1].send(sent)
                sent += 1
            message = results[0].recv()
            if message[1] == "done":
                total += message[2]
                done += 1
        return total

    rate = measured(run)
    for _ in workers:
        jobs[1].send(None)
    for worker in workers:
        worker.join()
    return rate


def weir(program, ahead):
    return float(subprocess.run([program, str(WEIR_JOBS), str(ahead)], check=True, capture_output=True).stdout)


BARE = "one pipe, two locks, bare"  # no pool: it could not say which job was lost; so it is no peer


def main():
    program, rounds = sys.argv[1], int(sys.argv[2])
    contenders = {
        "Weir, 15 jobs ahead": lambda: weir(program, 15),
        "Weir, none ahead": lambda: weir(program, 0),
        "ProcessPoolExecutor.submit": futures_submit,
        "ProcessPoolExecutor.map": futures_map,
        "pebble schedule": pebble_schedule,
        "pebble map": pebble_map,
        "one pipe, two locks, told": lambda: one_pipe(True),
        BARE: lambda: one_pipe(False),
    }
    rates = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            rates[name].append(run())
    peers = [name for name in contenders if not name.startswith("Weir") and name != BARE]
    best = max(statistics.median(rates[name]) for name in peers)
    print(f"{rounds} rounds, load {os.getloadavg()[0]:.1f}; jobs per second: median (lowest to highest)")
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"{name:30} {middle:9.0f}  ({min(found):.0f} to {max(found):.0f})  {middle / best:6.2f} x the best peer")
    return statistics.median(rates["Weir, 15 jobs ahead"]) < 5 * best


if __name__ == "__main__":
    sys.exit(main())
