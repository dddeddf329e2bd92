import CoppiceDial
import CoppiceShared
import CoppiceSystem

/// Asks Sentinels, one after the other, where their master is. Starts when made; look at `outcome` after each call.
final class SentinelLookup: Pollable {
    /// The master's address, or why none is known.
    private(set) var outcome: Result<StreamEndpoint.Place, Failure>?

    /// The Sentinel that knew it, by its number in the URL.
    private(set) var answered = 0

    struct Failure: Error, CustomStringConvertible { let description: String }

    private static let label = 100

    private let sentinels: RedisURL
    private let master: String
    private let clientName: String
    /// Sentinels that answered, but with nothing of use.
    private var refusals = 0
    private var connection: RedisConnection

    init(_ url: RedisURL, _ sentinel: RedisURL.Sentinel, clientName: String, now: MonotonicTime) {
        var sentinels = url
        sentinels.sentinel = nil
        sentinels.database = 0
        for index in sentinels.servers.indices {
            sentinels.servers[index].user = nil
            sentinels.servers[index].password = sentinel.password
        }
        self.sentinels = sentinels
        master = sentinel.master
        self.clientName = clientName
        connection = RedisConnection(sentinels, clientName: clientName, now: now)
        drain(now: now)
    }

    func close() { connection.close() }

    var interests: [PollInterest] { connection.interests }
    var deadline: MonotonicTime? { connection.deadline }

    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {
        connection.ready(descriptor, events, now: now)
        drain(now: now)
    }

    func expired(now: MonotonicTime) {
        connection.expired(now: now)
        drain(now: now)
    }

    private func drain(now: MonotonicTime) {
        for event in connection.takeEvents() {
            switch event {
            case .open:
                connection.send(RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master), label: SentinelLookup.label, now: now)
                connection.flush()
            case .reply(_, let value):
                if let parts = value.array, parts.count == 2, let host = parts[0].text, let port = parts[1].text.flatMap({ UInt16($0) }) {
                    answered = connection.server
                    connection.close()
                    outcome = .success(.tcp(host: host, port: port))
                } else {
                    another(after: value.error ?? "the Sentinels know no master '\(master)'", now: now)
                }
                return
            case .lost(let reason): outcome = .failure(Failure(description: "no Sentinel answers: \(reason)"))
            }
        }
    }

    private func another(after reason: String, now: MonotonicTime) {
        connection.giveUp()
        refusals += 1
        guard refusals < sentinels.servers.count else {
            outcome = .failure(Failure(description: reason))
            return
        }
        connection = RedisConnection(sentinels, clientName: clientName, now: now)
        drain(now: now)
    }
}
