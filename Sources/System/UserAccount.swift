import Glibc

/// A user of this host, with the groups that a process of theirs has.
public struct UserAccount: Equatable, Sendable {
    public let id: UInt32
    public let group: UInt32
    /// The supplementary groups; the one above is among them.
    public let groups: [UInt32]
    /// nil: the number has no entry in the user database.
    public let home: String?

    /// Looks up `NAME` or `NAME:GROUP`; both may be numbers. Asks the host's user database, which may be a server: for the start alone.
    ///
    /// - Throws: the sentence that says which of the two is not known.
    public init(_ text: String) throws(UnknownAccount) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = parts[0]
        // The entry is glibc's own memory, valid until the next look-up; one thread makes them.
        let entry = UInt32(name).map { getpwuid($0) } ?? getpwnam(name)
        guard let id = entry?.pointee.pw_uid ?? UInt32(name) else { throw UnknownAccount("no such user: \(name)") }
        let ownGroup = entry?.pointee.pw_gid
        let ownName = entry.map { String(cString: $0.pointee.pw_name) }
        home = entry.map { String(cString: $0.pointee.pw_dir) }
        self.id = id
        if parts.count > 1 {
            guard let group = getgrnam(parts[1])?.pointee.gr_gid ?? UInt32(parts[1]) else {
                throw UnknownAccount("no such group: \(parts[1])")
            }
            self.group = group
        } else if let ownGroup {
            group = ownGroup
        } else {
            throw UnknownAccount("user \(name) is in no database: name a group, too: \(name):GROUP")
        }
        guard let ownName else {
            groups = [group]
            return
        }
        var count: Int32 = 64
        var found = [gid_t](repeating: 0, count: Int(count))
        if getgrouplist(ownName, group, &found, &count) < 0 {
            // It has said how many there are.
            found = [gid_t](repeating: 0, count: Int(max(0, count)))
            getgrouplist(ownName, group, &found, &count)
        }
        groups = Array(found.prefix(Int(max(0, count))))
    }
}

/// A user or group that this host does not know.
public struct UnknownAccount: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
