import CoppiceShared
import CoppiceSystem

/// The way down: reads the master's frames and acts on them. Runs on a thread of its own, so that neither a handler that spins
/// nor one that blocks keeps a cancellation or the master's end from being noticed.
final class MasterReader {
    private let descriptor = Descriptor(owning: PipeProtocol.downDescriptor)
    private var decoder = FrameDecoder()
    private let assignments: Assignments
    private let outlet: Outlet

    init(assignments: Assignments, outlet: Outlet) {
        self.assignments = assignments
        self.outlet = outlet
    }

    /// The first frame. The version is read before the rest: another version's hello may look different behind it.
    func hello() -> DownFrame.Hello {
        while true {
            do {
                guard let frame = try decoder.next() else {
                    receive()
                    continue
                }
                guard frame.kind == DownFrame.helloKind else { break }
                var payload = frame.payload
                let version: UInt16 = try payload.integer()
                guard version == PipeProtocol.version else {
                    CurrentProcess.complain(
                        "coppice: the master speaks pipe protocol \(version), this worker \(PipeProtocol.version): build both from one release"
                    )
                    CurrentProcess.endNow(PipeProtocol.wrongVersionExit)
                }
                if case .hello(let hello) = try DownFrame(kind: frame.kind, payload: frame.payload) { return hello }
            } catch {
                refuse("\(error)")
            }
        }
        refuse("hello must come first")
    }

    func run() -> Never {
        var runs: [RunFrame] = []
        while true {
            do {
                while let frame = try decoder.next() {
                    switch try DownFrame(kind: frame.kind, payload: frame.payload) {
                    case .run(let run): runs.append(run)
                    case .hello: refuse("a second hello")
                    case .cancel(let assignment, let reason):
                        add(&runs)
                        assignments.cancel(assignment, reason)
                    case .recall:
                        add(&runs)
                        giveBack()
                    case .stop:
                        add(&runs)
                        giveBack()
                        assignments.stop()
                    }
                }
            } catch {
                refuse("\(error)")
            }
            add(&runs)
            receive()
        }
    }

    /// Hands over what one read has brought, in one step.
    private func add(_ runs: inout [RunFrame]) {
        guard !runs.isEmpty else { return }
        if !assignments.add(runs) { refuse("run after stop") }
        runs.removeAll(keepingCapacity: true)
    }

    private func giveBack() {
        outlet.append(UpFrame.returned(assignments: assignments.recall()).encoded, flush: true)
    }

    /// Reads once. The end of the pipe is the end of the master, and so of this process, whatever it is doing.
    private func receive() {
        switch try? descriptor.read(upTo: 1 << 16) {
        case .bytes(let bytes): decoder.append(bytes)
        case .wouldBlock: break
        case .end, nil: CurrentProcess.endNow(0)
        }
    }

    private func refuse(_ reason: String) -> Never {
        CurrentProcess.complain("coppice: bad frame from the master: \(reason)")
        CurrentProcess.endNow(PipeProtocol.badFrameExit)
    }
}
