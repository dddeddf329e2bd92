import CoppiceDial
import CoppiceRedis
import CoppiceTLS
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
        ("redis://h/1", "redis://:pw@h/1"), ("redis://u@h", "redis://u:pw@h"), ("redis://:own@h", "redis://:own@h"),
        ("redis://:own@a;redis://b", "redis://:own@a;redis://:pw@b"), ("redis+socket:///r", "redis+socket://:pw@/r"),
        ("sentinel://a;sentinel://b?master_name=m", "sentinel://:pw@a;sentinel://:pw@b?master_name=m"),
        ("sentinel://a;sentinel://:own@b?master_name=m", "sentinel://a;sentinel://:own@b?master_name=m"),
    ]) func aPasswordIsGivenWhereThereIsNone(_ text: String, completed: String) throws {
        #expect(try RedisURL(text).completed(password: "pw") == RedisURL(completed))
    }

    /// Redis' name for who names no user: whether it is said makes no other server.
    @Test func theUserDefaultIsNobodyElse() throws {
        #expect(try RedisURL("redis://:pw@h").isSameServer(as: RedisURL("redis://default:pw@h")))
        #expect(try !RedisURL("redis://:pw@h").isSameServer(as: RedisURL("redis://other:pw@h")))
    }

    @Test(arguments: [
        "", "redis", "redis:/", "localhost:6379", "redis://h:port", "redis://h:0", "redis://h:65536", "redis://h:-1", "redis://h/x",
        "redis://h/-1", "redis://h/1/2", "redis://::1/0", "redis://::1:6379", "redis://[::1", "redis://[::1]x", "redis://a:b:1",
        "redis://h?db=1", "redis://h:1;", "redis://h:1;h:2", "redis://h/1;redis://g/2", "redis://h;sentinel://g", "sentinel://h",
        "amqp://h",
        "redis://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=maybe", "rediss://h?ssl_check_hostname=2", "rediss://h?ssl_ciphers=x",
        "redis://h?master_name=m", "sentinel://h?master_name=", "redis://h?visibility_timeout=0", "redis://h?visibility_timeout=1h",
        "redis://h?sep=", "redis://h?priority_steps=", "redis://h?priority_steps=1,2", "redis://h?priority_steps=0,2,2",
        "redis://h?priority_steps=0,256", "redis://h?priority_steps=[0,1]", "redis://h?queue_order_strategy=fair",
        "redis://h?global_keyprefix_underscore=yes", "redis://h?global_keyprefix=a%22b", "redis://h?global_keyprefix=a*",
        "redis://h?virtual_host=1", "redis://h?x=%4",
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
                if url.servers[0].password == nil, url.servers[0].user?.contains(word) == true { return "" }
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

    private static func url(_ edit: (inout RedisURL) -> Void) -> RedisURL {
        var url = RedisURL(endpoint: .tcp(host: "h", port: 1), database: 2)
        edit(&url)
        return url
    }

    private static func tls(_ edit: (inout TLSSettings) -> Void) -> TLSSettings {
        var tls = TLSSettings()
        edit(&tls)
        return tls
    }

    private static let wide: [(String, RedisURL, String)] = [
        ("rediss://h:1/2", url { $0.servers[0].endpoint.tls = TLSSettings() }, "rediss://h:1/2"),
        (
            "rediss://h:1/2?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=%2Fca&ssl_certfile=/c&ssl_keyfile=/k&ssl_check_hostname=False",
            url {
                $0.servers[0].endpoint.tls = tls {
                    $0.verification = .none
                    $0.checksHostName = false
                    $0.authorities = "/ca"
                    $0.certificate = "/c"
                    $0.key = "/k"
                }
            }, "rediss://h:1/2"
        ),
        (
            "redis://h:1/2;redis://u:p@g/2?global_keyprefix=px_&visibility_timeout=5",
            url {
                $0.servers.append(.init(endpoint: StreamEndpoint(.tcp(host: "g", port: 6379)), user: "u", password: "p"))
                $0.keyPrefix = "px_"
                $0.visibilityTimeout = 5
            }, "redis://h:1/2;redis://u:**@g:6379/2?global_keyprefix=px_"
        ),
        (
            "redis://h:1/2?sep=:&priority_steps=0,1,2,3,4&queue_order_strategy=priority&global_keyprefix=a:"
                + "&global_keyprefix_underscore=always",
            url {
                $0.keyPrefix = "a:"
                $0.alwaysUnderscores = true
                $0.layout.separator = ":"
                $0.layout.steps = [0, 1, 2, 3, 4]
                $0.layout.order = .priority
            }, "redis://h:1/2?global_keyprefix=a:&global_keyprefix_underscore=always"
        ),
        (
            "sentinel://u:p@h:1/2;sentinel://g?master_name=my&sentinel_password=hunter2",
            url {
                $0.servers = [
                    .init(endpoint: StreamEndpoint(.tcp(host: "h", port: 1)), user: "u", password: "p"),
                    .init(endpoint: StreamEndpoint(.tcp(host: "g", port: 26379))),
                ]
                $0.sentinel = .init(master: "my", password: "hunter2")
            }, "sentinel://u:**@h:1/2;sentinel://g:26379/2?master_name=my"
        ),
    ]

    @Test(arguments: wide.indices) func listsAndParametersAreRead(_ index: Int) throws {
        let (text, url, description) = Self.wide[index]
        #expect(try RedisURL(text) == url)
        #expect(url.description == description)
    }

    /// Celery 5.3.6 and 5.7.0 have been asked.
    @Test(arguments: [
        ("", "celery-task-meta-", "celery-task-meta-"), ("px_", "px_celery-task-meta-", "px__celery-task-meta-"),
        ("fba:celery:", "fba:celery:celery-task-meta-", "fba:celery:_celery-task-meta-"),
        ("shop", "shop_celery-task-meta-", "shop_celery-task-meta-"),
    ])
    func aResultsKeyIsTheOneOfCelerysRelease(_ prefix: String, today: String, until54: String) throws {
        #expect(try RedisURL("redis://h?global_keyprefix=\(prefix)").resultPrefix == today)
        #expect(try RedisURL("redis://h?global_keyprefix=\(prefix)&global_keyprefix_underscore=unless-sign").resultPrefix == today)
        #expect(try RedisURL("redis://h?global_keyprefix=\(prefix)&global_keyprefix_underscore=always").resultPrefix == until54)
    }

    @Test func theSameListIsTheSameServer() throws {
        let url = try RedisURL("redis://h:1;redis://g:1")
        #expect(url.isSameServer(as: try RedisURL("redis://h:1/3;redis://g:1/3?global_keyprefix=x")))
        for other in ["redis://h:1", "redis://g:1;redis://h:1", "rediss://h:1;rediss://g:1", "sentinel://h:1;sentinel://g:1?master_name=m"]
        {
            #expect(!url.isSameServer(as: try RedisURL(other)))
        }
    }

    @Test func oneServerHasManyDatabases() throws {
        let url = try RedisURL("redis://u:p@h:1/0")
        #expect(url.isSameServer(as: try RedisURL("redis://u:p@h:1/7")))
        for other in ["redis://u:p@h:2/0", "redis://u:p@g:1/0", "redis://u:q@h:1/0", "redis://v:p@h:1/0"] {
            #expect(!url.isSameServer(as: try RedisURL(other)))
        }
    }
}
