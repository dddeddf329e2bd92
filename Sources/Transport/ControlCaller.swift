import CoppiceShared
import CoppiceSystem

/// Asks the nodes over Celery's remote control and hears their answers. A connection of its own for one caller; never blocks.
public protocol ControlCaller: Pollable {
    func takeEvents() -> [CallerEvent]

    /// Sends a request to every node, with where the answers go added; answered by `.asked`, then by an `.answer` for each that comes in.
    func call(_ request: JSONObject)

    /// Takes away what was made for the answers; answered by `.lost`.
    func close()
}

public enum CallerEvent: Sendable {
    /// Proven by a round trip; answers can be received. Once, first.
    case standing
    /// The request is out. At most so many nodes hear it.
    case asked(nodes: Int)
    /// An answer's body: JSON text, `{"node": reply}`.
    case answer([UInt8])
    /// The connection is over, with the reason. Last.
    case lost(String)
}
