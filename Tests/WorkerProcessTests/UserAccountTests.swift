import CoppiceSystem
import Glibc
import Testing

struct UserAccountTests {
    @Test func aNameIsLookedUp() throws {
        let root = try UserAccount("root")
        #expect((root.id, root.group) == (0, 0))
        #expect(root.groups.contains(0))
        #expect(root.home?.hasPrefix("/") == true)
        #expect(try UserAccount("0") == root)
    }

    @Test func aGroupOfItsOwnComesFirst() throws {
        let account = try UserAccount("root:12345")
        #expect(account.group == 12345)
        #expect(account.groups.contains(12345))
        #expect(try UserAccount("4294967000:7").groups == [7])
    }

    @Test(arguments: ["", ":", "no-such-user", "root:no-such-group", "4294967000", "-1", "root:", "99999999999"])
    func whatIsNotThereIsRefused(text: String) {
        #expect(throws: UnknownAccount.self) { try UserAccount(text) }
    }
}
