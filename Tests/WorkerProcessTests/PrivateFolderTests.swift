import Glibc
import Testing

@testable import CoppiceSystem

struct PrivateFolderTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/coppice-unit-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in Folder.names(in: path) where unlink("\(path)/\(name)") != 0 { rmdir("\(path)/\(name)") }
            rmdir(path)
        }
        try body(path)
    }

    @Test func oneThatIsHeldIsNotLeftBehind() throws {
        try withFolder { parent in
            var folder: PrivateFolder? = try PrivateFolder(in: parent, name: "x")
            let path = try #require(folder?.path)
            #expect(PrivateFolder.leftBehind(in: parent, name: "x").isEmpty)
            folder = nil
            #expect(PrivateFolder.leftBehind(in: parent, name: "x").map(\.path) == [path])
            #expect(PrivateFolder.leftBehind(in: parent, name: "y").isEmpty)
        }
    }

    @Test func oneThatIsBeingRemovedIsNobodyElses() throws {
        try withFolder { parent in
            _ = try PrivateFolder(in: parent, name: "x")
            let first = PrivateFolder.leftBehind(in: parent, name: "x")
            #expect(first.count == 1)
            #expect(PrivateFolder.leftBehind(in: parent, name: "x").isEmpty)
            withExtendedLifetime(first) {}
        }
    }

    @Test func linksAndFilesAreNoFolders() throws {
        try withFolder { parent in
            #expect(symlink("/", parent + "/x-AAAAAA") == 0)
            _ = try Descriptor.open(parent + "/x-BBBBBB", flags: O_CREAT | O_WRONLY)
            #expect(PrivateFolder.leftBehind(in: parent, name: "x").isEmpty)
        }
    }

    @Test func aPlaceThatIsNotThereIsSaid() {
        #expect(throws: SystemError("make a folder in /nowhere", code: ENOENT)) { try PrivateFolder(in: "/nowhere", name: "x") }
    }
}
