/// A task as it is handed to a child. The body is the broker's bytes: the master has not looked into it.
public struct RunFrame: Equatable, Sendable {
    /// The master's number for this handing-out; never reused while the master lives.
    public var assignment: UInt64
    public var id: String
    public var name: String
    /// Retries so far; 0 at the first attempt.
    public var retries: UInt32
    /// The message's headers: the text of a JSON object.
    public var headers: [UInt8]
    public var contentType: String
    /// How the body was compressed (a MIME type); empty if it was not.
    public var compression: String
    public var queue: String
    /// 0 to 9, as in the message.
    public var priority: UInt8
    public var redelivered: Bool
    /// Whether `body` is still base64, as kombu's virtual transports carry it.
    public var bodyIsBase64: Bool
    public var body: [UInt8]

    public init(
        assignment: UInt64, id: String, name: String, retries: UInt32 = 0, headers: [UInt8] = Array("{}".utf8),
        contentType: String = "application/json", compression: String = "", queue: String = "celery", priority: UInt8 = 0,
        redelivered: Bool = false, bodyIsBase64: Bool = false, body: [UInt8]
    ) {
        self.assignment = assignment
        self.id = id
        self.name = name
        self.retries = retries
        self.headers = headers
        self.contentType = contentType
        self.compression = compression
        self.queue = queue
        self.priority = priority
        self.redelivered = redelivered
        self.bodyIsBase64 = bodyIsBase64
        self.body = body
    }

    private static let redeliveredFlag: UInt8 = 1
    private static let base64Flag: UInt8 = 2

    func write(to out: inout ByteWriter) {
        out.integer(assignment)
        out.integer((redelivered ? Self.redeliveredFlag : 0) | (bodyIsBase64 ? Self.base64Flag : 0))
        out.integer(priority)
        out.integer(retries)
        out.text(id)
        out.text(name)
        out.text(contentType)
        out.text(compression)
        out.text(queue)
        out.data(headers)
        out.data(body)
    }

    init(from reader: inout ByteReader) throws(FrameError) {
        assignment = try reader.integer()
        let flags: UInt8 = try reader.integer()
        guard flags & ~(Self.redeliveredFlag | Self.base64Flag) == 0 else { throw .badValue("run flags") }
        redelivered = flags & Self.redeliveredFlag != 0
        bodyIsBase64 = flags & Self.base64Flag != 0
        priority = try reader.integer()
        retries = try reader.integer()
        id = try reader.text()
        name = try reader.text()
        contentType = try reader.text()
        compression = try reader.text()
        queue = try reader.text()
        headers = try reader.data()
        body = try reader.data()
    }
}
