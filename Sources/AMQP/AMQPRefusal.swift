/// Why a server did not do what it was asked to.
public struct AMQPRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// 403: not allowed, 404: not there, 405: locked by another connection, 406: stands with other arguments. 0: the server was never
    /// asked. 312: no queue wanted it, 506: a queue did not take it.
    public var code: UInt16
    public var text: String

    /// The code of a message that no queue wanted.
    public static let noRoute: UInt16 = 312

    public init(code: UInt16, text: String) {
        self.code = code
        self.text = text
    }

    /// It can't be said in AMQP, and was not said.
    init(unsaid text: String) { self.init(code: 0, text: text) }

    public var description: String { code == 0 ? text : "\(code) \(text)" }
}
