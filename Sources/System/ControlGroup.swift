import CLinux
import Glibc

/// A cgroup of version 2: a folder whose files are the kernel's.
public struct ControlGroup: Equatable, Sendable {
    public let path: String

    public init(path: String) { self.path = path }

    /// The one that this process is in; nil where the hierarchy of version 2 can't be seen.
    public static var own: ControlGroup? {
        guard let membership = TextFile.read("/proc/self/cgroup"), let mounts = TextFile.read("/proc/self/mountinfo") else { return nil }
        return path(membership: membership, mounts: mounts).map(ControlGroup.init)
    }

    /// From the two files' texts: where in the file system the cgroup stands.
    static func path(membership: String, mounts: String) -> String? {
        guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        let inside = String(line.dropFirst("0::".count))
        for mount in mounts.split(separator: "\n") {
            // id, parent, device, root, mount point, options, …, a hyphen, kind, source, more options
            let fields = mount.split(separator: " ")
            guard let hyphen = fields.firstIndex(of: "-"), hyphen > 4, fields.count > hyphen + 1, fields[hyphen + 1] == "cgroup2" else {
                continue
            }
            let root = fields[3] == "/" ? "" : String(fields[3])
            // A mount may show a part of the hierarchy alone.
            guard inside == root || inside.hasPrefix(root + "/") else { continue }
            let rest = String(inside.dropFirst(root.count))
            return unescaped(fields[4]) + (rest == "/" ? "" : rest)
        }
        return nil
    }

    /// mountinfo writes white space and backslashes as three octal digits.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
                rest = rest.dropFirst(3)
                bytes.append(code)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether whoever has made it has handed its management over, as systemd says with `Delegate=`.
    public var isDelegated: Bool {
        var mark: UInt8 = 0
        return coppice_attribute(path, "user.delegate", &mark, 1) == 1 && mark == UInt8(ascii: "1")
    }

    public func child(_ name: String) -> ControlGroup { ControlGroup(path: path + "/" + name) }

    /// Makes it, below one that is there. One that is there already is no error.
    public func make() throws(SystemError) {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemError("make the cgroup \(path)") }
    }

    /// Removes it, and before it the groups that processes have made in it; `most` of them at once, since there may be any number.
    ///
    /// - Returns: whether it is gone. It can't go while a process is in it, as one that has been killed and has not ended yet.
    public func remove(most: Int = 64) -> Bool {
        var left = most
        return remove(&left)
    }

    private func remove(_ left: inout Int) -> Bool {
        if rmdir(path) == 0 || errno == ENOENT { return true }
        guard errno == EBUSY else { return false }
        for name in names {
            guard left > 0, child(name).remove(&left) else { return false }
            left -= 1
        }
        return rmdir(path) == 0
    }

    /// Kills every process in it and below, whatever they have done to leave their process group.
    public func kill() { try? write("1", to: "cgroup.kill") }

    /// Whether the kernel is able to do that: Linux 5.14.
    public var canKill: Bool { access(path + "/cgroup.kill", W_OK) == 0 }

    public func has(_ file: String) -> Bool { access(path + "/" + file, F_OK) == 0 }

    public func read(_ file: String) -> String? { TextFile.read(path + "/" + file) }

    public func write(_ value: String, to file: String) throws(SystemError) {
        do {
            let descriptor = try Descriptor.open(path + "/" + file, flags: O_WRONLY)
            _ = try descriptor.write(Array(value.utf8))
        } catch {
            throw SystemError("write \(value) to \(path)/\(file)", code: error.code)
        }
    }

    /// One number of a file that has a name and a number in each line.
    public func number(_ name: String, in file: String) -> Int? {
        for line in read(file)?.split(separator: "\n") ?? [] {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == name { return Int(words[1]) }
        }
        return nil
    }

    /// What can be limited in the groups below it, once it is switched on.
    public var controllers: Set<String> { Set((read("cgroup.controllers") ?? "").split(whereSeparator: \.isWhitespace).map(String.init)) }

    /// The folder, to start processes in.
    public func open() throws(SystemError) -> Descriptor { try Descriptor.open(path, flags: O_DIRECTORY) }

    /// The names of the groups in it.
    public var names: [String] { Folder.names(in: path).filter { access(path + "/" + $0 + "/cgroup.procs", F_OK) == 0 } }
}
