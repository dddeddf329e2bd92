/// A task message as a broker gave it, as far as the master reads it. The body stays as it came.
public struct TaskMessage: Equatable, Sendable {
    public var id: String
    public var name: String
    public var retries: Int = 0
    public var eta: WallTime?
    public var expires: WallTime?
    /// Seconds; nil: the task's or the node's own.
    public var hardTimeLimit: Double?
    public var softTimeLimit: Double?
    /// nil: the task's own option decides.
    public var ignoreResult: Bool?
    public var group: String?
    public var parentID: String?
    public var shadow: String?
    /// The headers as JSON text, an object.
    public var headers: [UInt8]
    public var contentType: String
    public var contentEncoding: String?
    public var compression: String?
    public var correlationID: String?
    public var replyTo: String?
    public var priority: Int = 0
    public var redelivered = false
    public var exchange: String = ""
    public var routingKey: String
    public var body: [UInt8]
    public var bodyIsBase64: Bool

    public init(id: String, name: String, headers: [UInt8], contentType: String, routingKey: String, body: [UInt8], bodyIsBase64: Bool) {
        self.id = id
        self.name = name
        self.headers = headers
        self.contentType = contentType
        self.routingKey = routingKey
        self.body = body
        self.bodyIsBase64 = bodyIsBase64
    }

    /// How the task is called in logs.
    public var displayName: String { shadow ?? name }
}
