/// What Redis' errors mean for an operator.
public enum RedisFault {
    /// One line: what it is, and what to do where something can be done.
    public static func explain(_ error: String) -> String {
        // A script's commands are refused in other words than others.
        let word = error.hasPrefix("ERR The user executing the script") ? "NOPERM" : error.prefix { $0 != " " }
        return switch word {
        case "NOAUTH": "the server wants a password: put it into the URL or REDIS_PASSWORD"
        case "WRONGPASS": "the server refuses the password or the user"
        case "NOPERM":
            "the Redis user lacks a permission (\(error)): it needs EVALSHA and SCRIPT LOAD (+@scripting), and the keys and channels of "
                + "Celery and coppice.* (docs/OPERATIONS.md)"
        case "READONLY": "this Redis has become a read-only replica"
        case "LOADING": "Redis is still loading its data"
        case "MASTERDOWN": "this Redis is a replica that has lost its primary"
        case "OOM": "Redis is out of memory (maxmemory): \(error)"
        case "MISCONF": "Redis refuses writes because it can't save them: its disk is full, or see its log (\(error))"
        case "NOSCRIPT": "Redis has forgotten our scripts: it gets them again"
        case "BUSY": "Redis is busy with somebody's script (SCRIPT KILL ends it)"
        case "NOREPLICAS": "Redis refuses writes because too few replicas are there (min-replicas-to-write)"
        case "CLUSTERDOWN", "MOVED", "CROSSSLOT":
            "this Redis is a node of a Redis Cluster, which is not supported: name a server that stands alone"
        default: error
        }
    }
}
