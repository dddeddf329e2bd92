import CoppiceResults
import CoppiceShared
import CoppiceSystem

/// A result store on the stage.
final class StoreSeat {
    let store: any ResultStore
    let seat: Seat<ResultEvent>

    init(_ stage: Stage, _ store: any ResultStore) {
        self.store = store
        seat = stage.add(store) { store.takeEvents() }
    }

    struct Record: Equatable {
        var state: String
        var result: JSONValue
    }

    func stand() throws -> StoreSeat {
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return self
    }

    func put(_ writes: [ResultWrite]) throws {
        store.store(writes, as: 1)
        try seat.next("stored") { if case .stored = $0 { true } else { nil } }
    }

    func fetch(_ taskID: String) throws -> Record? {
        store.fetch(taskID)
        return try record(taskID)
    }

    /// The next record that is reported of this task.
    func record(_ taskID: String) throws -> Record? {
        let text: [UInt8]? = try seat.next("record of \(taskID)") { if case .record(taskID, let text) = $0 { .some(text) } else { nil } }
        guard let text else { return nil }
        let value = try JSONValue(parsing: text)
        return Record(state: value["status"]?.string ?? "", result: value["result"] ?? .null)
    }

    /// The next record of this task that differs from the last one: a watcher may hear of one twice.
    func change(_ taskID: String, from last: Record?) throws -> Record? {
        while true {
            let found = try record(taskID)
            if found != last { return found }
        }
    }
}
