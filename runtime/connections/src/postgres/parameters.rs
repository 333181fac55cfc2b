//! The parameters of connection URLs, of pgjdbc's and of libpq's.

/// What a parameter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    User,
    Password,
    Schemas,
    ApplicationName,
    ConnectTimeout,
    SslMode,
    Ssl,
    ChannelBinding,
    ServerType,
    PrepareThreshold,
    /// Tunes a driver that is not here; nothing that is stored depends on it.
    Ignored,
    /// Fine with one of these values, which ask for nothing.
    Off(&'static [&'static str]),
    /// Would change what the connection does, so it is not passed over.
    Refused(&'static str),
}

const FILE: &str = "it names a file of this machine; give certificates as PEM text in the \
                    connector's configuration";
const CLASS: &str = "it names a Java class; leave it out";
const KERBEROS: &str = "Kerberos is not supported; use a password";
const UNSUPPORTED: &str = "it is not supported; leave it out";
const PLACE: &str = "name the host before the database";

/// What the parameter `name` is for; none: it is not known.
pub(super) fn known(name: &str) -> Option<Parameter> {
    use Parameter as P;
    Some(match name {
        "user" => P::User,
        "password" => P::Password,
        "currentSchema" => P::Schemas,
        "ApplicationName" | "application_name" => P::ApplicationName,
        "connectTimeout" | "connect_timeout" => P::ConnectTimeout,
        "sslmode" => P::SslMode,
        "ssl" => P::Ssl,
        "channelBinding" | "channel_binding" => P::ChannelBinding,
        "targetServerType" | "target_session_attrs" => P::ServerType,
        "prepareThreshold" => P::PrepareThreshold,
        "adaptiveFetch"
        | "adaptiveFetchMaximum"
        | "adaptiveFetchMinimum"
        | "allowEncodingChanges"
        | "assumeMinServerVersion"
        | "autosave"
        | "binaryTransfer"
        | "binaryTransferDisable"
        | "binaryTransferEnable"
        | "cancelSignalTimeout"
        | "cleanupSavepoints"
        | "convertBooleanToNumeric"
        | "databaseMetadataCacheFields"
        | "databaseMetadataCacheFieldsMiB"
        | "defaultRowFetchSize"
        | "disableColumnSanitiser"
        | "escapeSyntaxCallMode"
        | "groupStartupParameters"
        | "gssResponseTimeout"
        | "hideUnprivilegedObjects"
        | "hostRecheckSeconds"
        | "keepalives"
        | "keepalives_count"
        | "keepalives_idle"
        | "keepalives_interval"
        | "loadBalanceHosts"
        | "logServerErrorDetail"
        | "logUnclosedConnections"
        | "loggerLevel"
        | "loginTimeout"
        | "maxResultBuffer"
        | "maxSendBufferSize"
        | "preferQueryMode"
        | "preparedStatementCacheQueries"
        | "preparedStatementCacheSizeMiB"
        | "quoteReturningIdentifiers"
        | "reWriteBatchedInserts"
        | "receiveBufferSize"
        | "sendBufferSize"
        | "socketTimeout"
        | "sslResponseTimeout"
        | "stringtype"
        | "tcpKeepAlive"
        | "tcpNoDelay"
        | "tcp_user_timeout"
        | "unknownLength" => P::Ignored,
        "readOnly" => P::Off(&["false"]),
        "readOnlyMode" => P::Off(&["transaction", "ignore", "always"]),
        "gssEncMode" | "gssencmode" => P::Off(&["disable", "allow", "prefer"]),
        "sslNegotiation" | "sslnegotiation" => P::Off(&["postgres"]),
        "replication" => P::Off(&["false"]),
        "sslcert" | "sslkey" | "sslrootcert" | "sslpassword" | "sslcrl" | "sslcrldir"
        | "loggerFile" | "passfile" | "service" | "servicefile" => P::Refused(FILE),
        "authenticationPluginClassName"
        | "socketFactory"
        | "socketFactoryArg"
        | "sslfactory"
        | "sslfactoryarg"
        | "sslhostnameverifier"
        | "sslpasswordcallback"
        | "xmlFactoryFactory" => P::Refused(CLASS),
        "gsslib"
        | "jaasApplicationName"
        | "jaasLogin"
        | "kerberosServerName"
        | "krbsrvname"
        | "sspiServiceClass"
        | "useSpnego"
        | "gssUseDefaultCreds" => P::Refused(KERBEROS),
        "host" | "hostaddr" | "port" | "dbname" | "PGHOST" | "PGPORT" | "PGDBNAME" => {
            P::Refused(PLACE)
        }
        "client_encoding" | "localSocketAddress" | "options" | "requireAuth" | "require_auth"
        | "requirepeer" | "requiressl" => P::Refused(UNSUPPORTED),
        _ => return None,
    })
}
