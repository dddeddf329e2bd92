/// The headers of a task message (celery-wire §1.3), as far as the master reads them.
struct TaskHeaders {
    /// The object as it stands.
    private(set) var text: [UInt8] = []
    private(set) var id: String?
    private(set) var task: String?
    private var defect: String?
    private var retries = 0
    private var eta: WallTime?
    private var expires: WallTime?
    private var timeLimit: (hard: Double?, soft: Double?)
    private var ignoreResult: Bool?
    private var group: String?
    private var parentID: String?
    private var shadow: String?
    private var compression: String?
    private var copyMark: String?

    init() {}

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        let range = try scanner.eachMember { scanner, key throws(JSONError) in
            if scanner.key(key, is: "id") {
                id = try scanner.stringValue()
            } else if scanner.key(key, is: "task") {
                task = try scanner.stringValue()
            } else if scanner.key(key, is: "retries") {
                switch try JSONValue.read(&scanner) {
                case .int(let count) where count >= 0 && count <= Int(UInt32.max): retries = count
                case .null: break
                default: defect = "retries is not a count"
                }
            } else if scanner.key(key, is: "eta") {
                eta = try time(&scanner, "eta")
            } else if scanner.key(key, is: "expires") {
                expires = try time(&scanner, "expires")
            } else if scanner.key(key, is: "timelimit") {
                timeLimit = try limits(&scanner)
            } else if scanner.key(key, is: "ignore_result") {
                ignoreResult = try scanner.boolValue()
            } else if scanner.key(key, is: "group") {
                group = try scanner.stringValue()
            } else if scanner.key(key, is: "parent_id") {
                parentID = try scanner.stringValue()
            } else if scanner.key(key, is: "shadow") {
                shadow = try scanner.stringValue()
            } else if scanner.key(key, is: "compression") {
                compression = try scanner.stringValue()
            } else if scanner.key(key, is: TaskMessage.copyMarkHeader) {
                copyMark = try scanner.stringValue()
            } else {
                _ = try scanner.skipValue()
            }
        }
        text = Array(scanner.bytes[range])
    }

    /// Puts the headers into the message, or says why it can't be run.
    func apply(to message: inout TaskMessage) throws(MessageDefect) {
        guard let task, !task.isEmpty else { throw MessageDefect("no task header: not a task message of protocol 2", taskID: id) }
        guard let id, !id.isEmpty else { throw MessageDefect("no id header", taskName: task) }
        if let defect { throw MessageDefect(defect, taskID: id, taskName: task) }
        guard !message.contentType.isEmpty else { throw MessageDefect("no content type", taskID: id, taskName: task) }
        message.id = id
        message.name = task
        message.headers = text
        message.retries = retries
        message.eta = eta
        message.expires = expires
        message.hardTimeLimit = timeLimit.hard
        message.softTimeLimit = timeLimit.soft
        message.ignoreResult = ignoreResult
        message.group = group
        message.parentID = parentID
        message.shadow = shadow
        message.compression = compression
        message.copyMark = copyMark
    }

    private mutating func time(_ scanner: inout JSONScanner, _ name: String) throws(JSONError) -> WallTime? {
        if try scanner.peekKind() == .literal {
            let range = try scanner.skipValue()
            if scanner.key(range, is: "null") { return nil }
        } else if let text = try scanner.stringValue() {
            if let time = ISO8601.parse(text) { return time }
        }
        defect = "\(name) is not a time"
        return nil
    }

    /// `[hard, soft]`, either of them null; null for both. What is not a positive number counts as none.
    private func limits(_ scanner: inout JSONScanner) throws(JSONError) -> (Double?, Double?) {
        guard case .array(let elements) = try JSONValue.read(&scanner), elements.count == 2 else { return (nil, nil) }
        func positive(_ value: JSONValue) -> Double? { value.double.flatMap { $0 > 0 && $0.isFinite ? $0 : nil } }
        return (positive(elements[0]), positive(elements[1]))
    }
}
