/// The names that settings have in the environment, among the credentials and in the file.
enum SettingName {
    static let brokerURL = "COPPICE_BROKER_URL"
    static let resultBackend = "COPPICE_RESULT_BACKEND"
    static let celeryBrokerURL = "CELERY_BROKER_URL"
    static let celeryResultBackend = "CELERY_RESULT_BACKEND"
    static let broker = "CELERY_BROKER"
    static let redisHost = "REDIS_HOST"
    static let redisPort = "REDIS_PORT"
    static let redisPassword = "REDIS_PASSWORD"
    static let redisDatabase = "CELERY_BROKER_REDIS_DATABASE"
    static let resultDatabase = "CELERY_BACKEND_REDIS_DATABASE"
    static let resultPrefix = "CELERY_BACKEND_REDIS_PREFIX"
    static let rabbitHost = "CELERY_RABBITMQ_HOST"
    static let rabbitPort = "CELERY_RABBITMQ_PORT"
    static let rabbitUser = "CELERY_RABBITMQ_USERNAME"
    static let rabbitPassword = "CELERY_RABBITMQ_PASSWORD"
    static let rabbitVirtualHost = "CELERY_RABBITMQ_VHOST"
    static let maximumRetries = "CELERY_TASK_MAX_RETRIES"
    static let timeZone = "DATETIME_TIMEZONE"
    static let resultExtended = "CELERY_RESULT_EXTENDED"
    static let resultExpires = "CELERY_RESULT_EXPIRES"
    static let autoscaleKeepalive = "AUTOSCALE_KEEPALIVE"
    static let storeErrors = "CELERY_STORE_ERRORS_EVEN_IF_IGNORED"
    /// Where the file is; in the environment alone.
    static let config = "COPPICE_CONFIG"

    /// The names that choose a broker.
    static let brokers = [brokerURL, celeryBrokerURL, broker]
    static let resultStores = [resultBackend, celeryResultBackend]
    /// The parts of Redis' address.
    static let redisParts = [redisHost, redisPort, redisDatabase, resultDatabase, resultPrefix]
    static let rabbitParts = [rabbitHost, rabbitPort, rabbitVirtualHost]
    static let rabbitLogin = [rabbitUser, rabbitPassword]

    /// Of a place, in the names that Celery and applications use, too: such a variable may be meant for somebody else.
    static let applications = Set(
        [celeryBrokerURL, celeryResultBackend, broker, redisPassword] + redisParts + rabbitParts + rabbitLogin)

    static let all = applications.union([
        brokerURL, resultBackend, maximumRetries, timeZone, resultExtended, resultExpires, storeErrors, autoscaleKeepalive,
    ])
}
