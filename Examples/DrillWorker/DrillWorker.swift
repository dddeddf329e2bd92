import CoppiceWorkerProcess

/// The tasks for fault drills: how does this installation behave when a task fails, hangs, eats memory or kills its process?
///
/// Two variables say how it starts, for whom lets it have them (`--child-env`): DRILL_START is "fail" (`setUp` does), "twice" (two tasks have
/// one name) or so many seconds that `setUp` takes; DRILL_NOTES is a file in which `setUp` and `tearDown` note that they ran.
@main struct DrillWorker: WorkerApplication {
    static func setUp() async throws {
        let start = System.variable("DRILL_START")
        if let seconds = start.flatMap(Double.init) { try await Task.sleep(for: .seconds(seconds)) }
        if start == "fail" { throw ValueError("as the drill wants it") }
        try note("up")
    }

    static func tearDown() async throws { try note("down") }

    private static func note(_ what: String) throws {
        if let path = System.variable("DRILL_NOTES") { try System.append("\(what) \(System.processID)\n", to: path) }
    }

    static func register(in tasks: inout TaskRegistry) {
        tasks.on(Add.self) { call, _ in call.x + call.y }
        if System.variable("DRILL_START") == "twice" { tasks.on(Add.self) { _, _ in 0 } }
        tasks.on(Sleep.self) { call, _ in
            try await Task.sleep(for: .seconds(call.seconds))
            return call.seconds
        }
        tasks.on(Fail.self) { call, _ in throw ValueError(call.message) }
        tasks.on(Retry.self) { call, context in
            if context.retries < call.times { try context.retry(after: .seconds(1)) }
            return context.retries
        }
        tasks.on(Echo.self) { call, _ in call }
        tasks.on(Sum.self) { call, _ in call.numbers.reduce(0, +) }
        tasks.on(ProcessID.self) { _, _ in System.processID }
        tasks.on(Late.self, acksLate: true, rejectOnWorkerLost: true) { call, _ in
            try await Task.sleep(for: .seconds(call.seconds))
            return System.processID
        }
        tasks.on(Soft.self) { call, context in
            do {
                try await Task.sleep(for: .seconds(call.seconds))
            } catch is CancellationError where context.cancellation == .softTimeLimit {
                return "soft"
            }
            return .double(call.seconds)
        }
        tasks.on(Spin.self) { call, _ in
            let clock = ContinuousClock()
            let end = clock.now + .seconds(call.seconds)
            while clock.now < end {}
            return call.seconds
        }
        tasks.on(Kill.self) { call, _ in System.signalSelf(call.signal) }
        tasks.on(Exit.self) { call, _ in System.exit(call.code) }
        tasks.on(Eat.self) { call, _ in
            let memory = [UInt8](repeating: 1, count: max(0, call.megabytes) << 20)
            try await Task.sleep(for: .seconds(call.seconds))
            return memory.count >> 20
        }
        tasks.on(Flood.self) { call, _ in
            var left = call.bytes
            while left > 0 {
                print(String(repeating: "x", count: min(left, 1023)))
                left -= 1024
            }
            return call.bytes
        }
        tasks.on(Big.self) { call, _ in String(repeating: "x", count: max(0, call.bytes)) }
        tasks.on(Fork.self) { call, _ in try System.spawnSleep(seconds: call.seconds) }
        tasks.on(Strict.self, strict: true) { call, _ in
            try System.append("\(call.id) \(System.processID)\n", to: call.path)
            try await Task.sleep(for: .seconds(call.seconds))
            return System.processID
        }
        tasks.on(Poison.self, acksLate: true, rejectOnWorkerLost: true) { call, _ in
            try System.append("\(call.id) \(System.processID)\n", to: call.path)
            System.signalSelf(call.signal)
            return NoOutput()
        }
        tasks.on(Ledger.self, acksLate: true, rejectOnWorkerLost: true) { call, _ in
            try System.append("\(call.id) \(System.processID)\n", to: call.path)
            try await Task.sleep(for: .seconds(call.seconds))
            return System.processID
        }
        tasks.on(WitnessLate.self, acksLate: true, rejectOnWorkerLost: true) { call, context in
            try await Witness(context).run(seconds: call.seconds, times: call.times)
        }
        tasks.on(WitnessEarly.self) { call, context in try await Witness(context).run(seconds: call.seconds, times: call.times) }
        tasks.on(Say.self) { call, context in
            let errors = call.errors ?? false
            switch call.by ?? "print" {
            case "write": System.putPastStdio(call.text, errors: errors)
            case "logger": context.logger.warning("\(call.text)")
            case "child": try System.echo(call.text, errors: errors)
            default: System.put(call.text, errors: errors)
            }
            return context.id
        }
        tasks.on(HangUp.self) { call, _ in
            System.closePipeUp()
            try await Task.sleep(for: .seconds(call.seconds))
            return NoOutput()
        }
        tasks.on(Babble.self) { call, _ in
            System.babble(seconds: call.seconds)
            return NoOutput()
        }
        tasks.on(Garble.self) { call, _ in
            System.writeUp([UInt8](repeating: 0xFF, count: 64))
            try await Task.sleep(for: .seconds(call.seconds))
            return NoOutput()
        }
        tasks.on(GoDeaf.self) { _, _ in
            System.stopReading()
            return NoOutput()
        }
        tasks.on(Orphan.self) { call, _ in
            _ = try System.spawnSleep(seconds: call.seconds, ownSession: true)
            System.signalSelf(9)
            return NoOutput()
        }
        tasks.on(FillDisk.self) { call, _ in
            let filler = try System.fillDisk(of: call.folder)
            defer { filler.clear() }
            try await Task.sleep(for: .seconds(call.seconds))
            return filler.bytes
        }
        tasks.on(Beat.self) { call, context in
            for _ in 0..<call.times {
                context.heartbeat(timeout: .seconds(call.timeout))
                try await Task.sleep(for: .seconds(call.every))
            }
            try await Task.sleep(for: .seconds(call.rest))
            return call.times
        }
        tasks.on(Lament.self) { call, _ in
            for line in call.lines { System.complain(line) }
            try await Task.sleep(for: .seconds(call.seconds))
            if call.signal != 0 { System.signalSelf(call.signal) }
            return call.lines.count
        }
        tasks.on(Crash.self) { call, _ in
            let memory = [UInt8](repeating: 1, count: max(0, call.megabytes) << 20)
            while System.processorSeconds < call.seconds {}
            return Int(memory[memory.count + Int(call.seconds)])
        }
        tasks.on(PoisonOnce.self, acksLate: true, rejectOnWorkerLost: true, maxDeaths: 1) { call, _ in
            try System.append("\(call.id) \(System.processID)\n", to: call.path)
            System.signalSelf(call.signal)
            return NoOutput()
        }
        tasks.on(Relapse.self, acksLate: true, rejectOnWorkerLost: true) { call, _ in
            let isFirst = !System.exists(call.path)
            try System.append("\(call.id) \(System.processID)\n", to: call.path)
            if isFirst { System.signalSelf(9) }
            let memory = [UInt8](repeating: 1, count: max(0, call.megabytes) << 20)
            try await Task.sleep(for: .seconds(call.seconds))
            return memory.count >> 20
        }
    }
}
