import CoppiceClient
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// One run's file, and, once it is started, the master that serves it.
final class TunePlace {
    private static let queue = "tune"
    private static let node = "tune@localhost"
    /// Seconds between two looks whether tasks are done.
    private static let look = 0.02
    /// Seconds after which an interruption is noticed.
    private static let longestRest = 0.1

    private let task: TuneTask
    private let folder: String
    private let url: String
    private let client: Client
    private var worker: TuneWorker?

    /// - Parameters:
    ///   - folder: where the file is made.
    ///   - number: of the run, which its file is called by.
    init(_ task: TuneTask, folder: String, number: Int) {
        self.task = task
        self.folder = folder
        let path = "\(folder)/\(number).db"
        url = "sqlite:///" + path
        client = Client(broker: .sqlite(path: path), results: .sqlite(path: path))
    }

    func start(_ setting: TuneSetting) throws {
        worker = try TuneWorker(task, setting, url: url, queue: TunePlace.queue, node: TunePlace.node, folder: folder)
    }

    func stop() { worker?.stop() }

    /// Returns the ids.
    func send(_ count: Int) throws -> [String] {
        let publications = (0..<count).map { _ in
            var publication = TaskPublication.call(
                id: Incarnation.randomUUID(), task: task.name, arguments: task.arguments, keywords: task.keywords, eta: nil,
                queue: TunePlace.queue, origin: TunePlace.node)
            // A task whose results are ignored would leave no trace.
            if var headers = (try? JSONValue(parsing: publication.headers))?.object {
                headers["ignore_result"] = false
                publication.headers = JSONValue.object(headers).bytes
            }
            return publication
        }
        try client.send(publications)
        return publications.compactMap(\.correlationID)
    }

    /// Waits until all have succeeded; returns when each has, in seconds since 1970.
    ///
    /// - Throws: how the first that did not has ended.
    func finish(_ ids: [String]) throws -> [Double] {
        var done: [String: Double] = [:]
        while done.count < ids.count {
            try worker?.check()
            // Of many, there is nothing to look at while most wait.
            let waiting = ids.count > 100 ? try client.queues([TunePlace.queue]).first?.waiting ?? 0 : 0
            if waiting == 0 {
                for (id, result) in try client.results(of: ids.filter { done[$0] == nil }) where result.state.isReady {
                    guard result.state == .success else { throw CommandFailure("the task does not succeed: \(result.failureText)") }
                    done[id] = (result.doneAt ?? .now).seconds
                }
            }
            if done.count < ids.count { try TunePlace.rest(until: .now.advanced(by: TunePlace.look)) }
        }
        return ids.compactMap { done[$0] }
    }

    /// - Throws: if somebody wants it to end.
    static func rest(until time: MonotonicTime) throws {
        repeat {
            _ = try Poll.wait([], until: min(time, .now.advanced(by: longestRest)))
            if let signal = Interruption.signal { throw CommandFailure("interrupted", code: 128 + signal) }
        } while time > .now
    }

    // MARK: what the master shows

    var processorSeconds: Double { worker?.processorSeconds ?? 0 }
    var childMemory: Int { worker?.childMemory ?? 0 }

    /// As it tells on the remote control.
    func runTime() throws -> TuneSample.Percentiles? {
        let answer = try client.ask("coppice_status", of: [TunePlace.node], timeout: 2).first?.answer["run_seconds"]
        guard let half = answer?["p50"]?.double, let most = answer?["p95"]?.double else { return nil }
        return TuneSample.Percentiles(half: half, most: most)
    }
}
