import CoppiceRedis
import Testing

@Suite struct RedisURLTests {
    private static let good: [(String, RedisURL, String)] = [
        ("redis://", RedisURL(endpoint: .tcp(host: "localhost", port: 6379)), "redis://localhost:6379/0"),
        ("redis://h", RedisURL(endpoint: .tcp(host: "h", port: 6379)), "redis://h:6379/0"),
        ("redis://h:1/", RedisURL(endpoint: .tcp(host: "h", port: 1)), "redis://h:1/0"),
        (
            "redis://:pw@host:6380/3", RedisURL(endpoint: .tcp(host: "host", port: 6380), password: "pw", database: 3),
            "redis://:**@host:6380/3"
        ),
        (
            "redis://user:p%40s%3as@host:6380/3",
            RedisURL(endpoint: .tcp(host: "host", port: 6380), user: "user", password: "p@s:s", database: 3), "redis://user:**@host:6380/3"
        ),
        ("redis://user@h", RedisURL(endpoint: .tcp(host: "h", port: 6379), user: "user"), "redis://**@h:6379/0"),
        // Unescaped marks in a password: the last '@' counts, and the first ':'.
        ("redis://u:a@b:c/d@h", RedisURL(endpoint: .tcp(host: "h", port: 6379), user: "u", password: "a@b:c/d"), "redis://u:**@h:6379/0"),
        ("redis://:@h", RedisURL(endpoint: .tcp(host: "h", port: 6379)), "redis://h:6379/0"),
        ("redis://[::1]:7/2", RedisURL(endpoint: .tcp(host: "::1", port: 7), database: 2), "redis://[::1]:7/2"),
        ("redis://[::1]", RedisURL(endpoint: .tcp(host: "::1", port: 6379)), "redis://[::1]:6379/0"),
        (
            "redis+socket:///run/r.sock?virtual_host=2", RedisURL(endpoint: .unix(path: "/run/r.sock"), database: 2),
            "redis+socket:///run/r.sock?virtual_host=2"
        ),
        (
            "redis+socket://:pw@/run/r%20s", RedisURL(endpoint: .unix(path: "/run/r s"), password: "pw"),
            "redis+socket://:**@/run/r s?virtual_host=0"
        ),
        ("unix:///r", RedisURL(endpoint: .unix(path: "/r")), "redis+socket:///r?virtual_host=0"),
    ]

    @Test(arguments: good.indices) func isRead(_ index: Int) throws {
        let (text, url, description) = Self.good[index]
        #expect(try RedisURL(text) == url)
        #expect(url.description == description)
    }

    @Test(arguments: [
        "", "redis", "redis:/", "localhost:6379", "redis://h:port", "redis://h:0", "redis://h:65536", "redis://h:-1", "redis://h/x",
        "redis://h/-1", "redis://h/1/2", "redis://::1/0", "redis://::1:6379", "redis://[::1", "redis://[::1]x", "redis://a:b:1",
        "redis://h?db=1", "redis://h:1;redis://h:2", "rediss://h", "sentinel://h", "amqp://h",
        "redis+socket://run/r", "redis+socket:///r?db=1", "redis+socket:///r?virtual_host=x", "redis://:%@h", "redis://:%4@h",
        "redis://:%zz@h", "redis://:%ff@h",
    ])
    func isRefused(_ text: String) {
        #expect(throws: RedisURL.Malformed.self) { try RedisURL(text) }
    }

    /// Whichever one character a URL lacks, has too many or has wrong: neither what is read of it nor what is wrong with it tells the
    /// password.
    @Test func thePasswordIsNeverTold() {
        let word = "hunter2"
        let (front, back) = ("redis://user:", "@host:6379/0")
        func told(_ text: String) -> String {
            do {
                let url = try RedisURL(text)
                // Without its colon the word is a user's name.
                if url.password == nil, url.user?.contains(word) == true { return "" }
                // A URL in a larger value, as a log line might have it.
                return "\(url) \([url]) \(String(reflecting: url))"
            } catch {
                return "\(error) \([error]) \(String(reflecting: error))"
            }
        }
        func damaged(_ text: String) -> [String] {
            let text = Array(text)
            var all: [String] = []
            for place in 0...text.count {
                let head = String(text[..<place])
                for mark in ":/@?;%[]&=#" {
                    all.append(head + String(mark) + String(text[place...]))
                    if place < text.count { all.append(head + String(mark) + String(text[(place + 1)...])) }
                }
                if place < text.count { all.append(head + String(text[(place + 1)...])) }
            }
            return all
        }
        #expect(told(front + word + back).contains("user:**@host"))
        for text in damaged(front).map({ $0 + word + back }) + damaged(back).map({ front + word + $0 }) {
            #expect(!told(text).contains(word), "\(text)")
        }
    }

    @Test(arguments: ["user:hunter2@redis://host", "hunter2@redis://host", ":hunter2@host://x"])
    func aSchemeThatIsNoneIsNotQuoted(_ text: String) {
        #expect { try RedisURL(text) } throws: { !"\($0)".contains("hunter2") }
    }

    @Test func oneServerHasManyDatabases() throws {
        let url = try RedisURL("redis://u:p@h:1/0")
        #expect(url.isSameServer(as: try RedisURL("redis://u:p@h:1/7")))
        for other in ["redis://u:p@h:2/0", "redis://u:p@g:1/0", "redis://u:q@h:1/0", "redis://v:p@h:1/0"] {
            #expect(!url.isSameServer(as: try RedisURL(other)))
        }
    }
}
