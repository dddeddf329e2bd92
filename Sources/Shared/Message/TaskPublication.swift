/// A task message to be sent.
public struct TaskPublication: Equatable, Sendable {
    public var exchange: String = ""
    /// nil: as the broker knows the exchange. Redis knows no fanout exchanges: there it must be said.
    public var exchangeType: QueueDeclaration.ExchangeType?
    /// On the anonymous exchange: the queue's name.
    public var routingKey: String
    /// JSON text, an object.
    public var headers: [UInt8]
    public var contentType = "application/json"
    public var contentEncoding = "utf-8"
    public var correlationID: String?
    public var replyTo: String?
    public var priority = 0
    /// Told as AMQP's `timestamp`, in whole seconds, so that an operator sees how long a message has waited; nil: not told.
    public var sentAt: WallTime?
    public var body: [UInt8]
    /// Whether `body` is base64 already, as a message that is sent on may be.
    public var bodyIsBase64: Bool

    public init(routingKey: String, headers: [UInt8], body: [UInt8], bodyIsBase64: Bool = false) {
        self.routingKey = routingKey
        self.headers = headers
        self.body = body
        self.bodyIsBase64 = bodyIsBase64
    }

    /// The message as it came, for this queue.
    public init(copyOf message: TaskMessage, to queue: String) {
        self.init(copyOf: message)
        exchange = ""
        routingKey = queue
    }

    /// The message as it came, for this queue, as a copy that can be told from the original.
    ///
    /// - Parameter mark: as in `TaskMessage.copyMark`.
    public init(copyOf message: TaskMessage, to queue: String, mark: String) {
        self.init(copyOf: message, to: queue)
        guard let parsed = try? JSONValue(parsing: message.headers), case .object(var object) = parsed else { return }
        object[TaskMessage.copyMarkHeader.description] = .string(mark)
        headers = JSONValue.object(object).bytes
    }

    /// The message as it came.
    public init(copyOf message: TaskMessage) {
        self.init(routingKey: message.routingKey, headers: message.headers, body: message.body, bodyIsBase64: message.bodyIsBase64)
        exchange = message.exchange
        contentType = message.contentType
        contentEncoding = message.contentEncoding ?? "utf-8"
        correlationID = message.correlationID ?? message.id
        replyTo = message.replyTo
        priority = message.priority
    }

    /// The message that a retry publishes: the same id, one retry more, a new time; all else as it was (celery-wire §6.5).
    public static func retry(of message: TaskMessage, at eta: WallTime) -> TaskPublication? {
        guard let parsed = try? JSONValue(parsing: message.headers), case .object(var headers) = parsed else { return nil }
        headers["retries"] = .int(message.retries + 1)
        headers["eta"] = .string(ISO8601.format(eta))
        if headers["parent_id"] ?? .null == .null { headers["parent_id"] = .string(message.id) }
        var publication = TaskPublication(copyOf: message)
        publication.headers = JSONValue.object(headers).bytes
        return publication
    }

    /// A new call, as Celery's `apply_async` sends it.
    public static func call(
        id: String, task: String, arguments: [JSONValue], keywords: JSONObject, eta: WallTime?, expires: WallTime? = nil, queue: String,
        origin: String
    ) -> TaskPublication {
        func text(_ time: WallTime?) -> JSONValue { time.map { .string(ISO8601.format($0)) } ?? nil }
        let headers: JSONValue = [
            "lang": "swift", "task": .string(task), "id": .string(id), "shadow": nil, "eta": text(eta),
            "expires": text(expires), "group": nil, "group_index": nil, "retries": 0, "timelimit": [nil, nil], "root_id": .string(id),
            "parent_id": nil, "argsrepr": .string(PythonRepr.tuple(arguments)),
            "kwargsrepr": .string(PythonRepr.cut(PythonRepr.value(.object(keywords)))), "origin": .string(origin), "ignore_result": nil,
            "replaced_task_nesting": 0, "stamped_headers": nil, "stamps": [:],
        ]
        let embed: JSONValue = ["callbacks": nil, "errbacks": nil, "chain": nil, "chord": nil]
        var publication = TaskPublication(
            routingKey: queue, headers: headers.bytes, body: JSONValue.array([.array(arguments), .object(keywords), embed]).bytes)
        publication.correlationID = id
        return publication
    }
}
