import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// The content of a host's file from the time when RabbitMQ's ledger was kept there, beside `rpc://`. Nobody looks there once results,
/// and the ledger with them, have another place.
public struct FormerLedger: Equatable, Sendable, CustomStringConvertible {
    public let path: String
    public let deadLetters: Int
    /// Revocations that would still hold.
    public let revocations: Int

    /// nil where nothing was left: there is no file, or none of Coppice's, or nothing in it. Waits for nobody: a file that is locked at
    /// this moment is passed over, too.
    public init?(path: String, now: WallTime = .now) {
        guard let database = try? SQLiteDatabase(path: path, creates: false) else { return nil }
        let since = Int(now.advanced(by: -Double(Revocations.lifetime)).microseconds)
        let dead = try? database.statement("SELECT count(*) FROM dead").first { $0.int(0) }
        let revoked = try? database.statement("SELECT count(*) FROM revoked WHERE at > ?").first(.int(since)) { $0.int(0) }
        self.path = path
        deadLetters = dead ?? 0
        revocations = revoked ?? 0
        if deadLetters + revocations == 0 { return nil }
    }

    public var description: String {
        """
        \(deadLetters) dead letter(s) and \(revocations) revocation(s) stand in \(path), where the ledger is kept beside rpc://, and are of no \
        effect here: `coppice dead --result-backend rpc://` shows the dead letters and puts them back; what was revoked must be so again
        """
    }
}
