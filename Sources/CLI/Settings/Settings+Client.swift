import CoppiceClient
import CoppiceResults
import CoppiceTransport
import Glibc

extension Settings {
    enum Place {
        case broker, results, ledger
        /// Made where there are none: they hold for nodes that come later.
        case revocations
    }

    /// A client for what looks at a place, or changes what is there: of a mistyped path no file is made.
    func client(at place: Place) throws -> Client {
        let ledger =
            switch place {
            case .broker, .results: broker
            case .ledger, .revocations: try ledger()
            }
        switch (place, broker, results, ledger) {
        case (.broker, .sqlite(let path), _, _), (.revocations, .sqlite(let path), _, _), (.results, _, .sqlite(let path), _),
            (.ledger, _, _, .sqlite(let path)):
            guard access(path, F_OK) == 0 || errno != ENOENT && errno != ENOTDIR else {
                throw CommandFailure("sqlite:///\(path): no such file", code: CommandFailure.unavailable)
            }
        default: break
        }
        return Client(broker: broker, results: results, ledger: ledger)
    }
}
