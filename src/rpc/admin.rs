//! The door for tools: a Unix socket, and the kernel's word for who is at the other end.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::server::UdsConnectInfo;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status};

use super::authorise::Grant;
use super::wire::Frame;
use super::wire::admin_client::AdminClient;
use super::wire::admin_server::{Admin, AdminServer};
use super::{
    AdminAnswer, AdminRequest, AdminService, Caller, ChangeNotice, Error, Listening, MESSAGE_BYTES,
    REQUEST_BYTES, convert,
};
use crate::terms::CrmExit;

/// Requests that one tool may have under way.
const CONCURRENT: usize = 32;

/// Opens the socket. Everyone may connect; what they may ask is decided for each request.
///
/// # Errors
/// Names the socket that cannot be made.
pub async fn serve(
    socket: &Path,
    admin_group: &str,
    service: Arc<dyn AdminService>,
) -> Result<Listening, Error> {
    let listener = bind(socket).map_err(|e| super::node::disk("listen on", socket, &e))?;
    let (stop, mut stopped) = watch::channel(false);
    let door = Door {
        service,
        admin_group: admin_group.into(),
    };
    let door = AdminServer::new(door)
        .max_decoding_message_size(REQUEST_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    tokio::spawn(async move {
        let end = async move {
            // An error means that the door was dropped, which is the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let served = Server::builder()
            .concurrency_limit_per_connection(CONCURRENT)
            .add_service(door)
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), end)
            .await;
        if let Err(e) = served {
            tracing::error!("no longer listening for tools: {e}");
        }
    });
    Ok(Listening::at(Vec::new(), stop))
}

fn bind(socket: &Path) -> std::io::Result<UnixListener> {
    if let Some(dir) = socket.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // A socket that nobody listens on is left over from a daemon that was killed.
    if let Ok(there) = std::fs::symlink_metadata(socket) {
        if !there.file_type().is_socket() {
            return Err(std::io::Error::other("something else has this name"));
        }
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Err(std::io::Error::other("another daemon listens on it"));
        }
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

struct Door {
    service: Arc<dyn AdminService>,
    admin_group: String,
}

impl Door {
    /// Who asks, what, and whether they may.
    fn enter(&self, request: &Request<Frame>) -> Result<(Caller, Grant, AdminRequest), Refusal> {
        let info = request.extensions().get::<UdsConnectInfo>();
        let peer = info.and_then(|info| info.peer_cred);
        let peer =
            peer.ok_or_else(|| Refusal::Status("the kernel does not say who asks".into()))?;
        let caller = caller(peer.uid(), peer.gid(), &self.admin_group);
        let wanted: AdminRequest =
            convert::message(request.get_ref()).map_err(|e| Refusal::Status(e.message().into()))?;
        let grant = self.service.grant(&caller, &self.admin_group, &wanted);
        match grant {
            Ok(grant) => Ok((caller, grant, wanted)),
            Err(denied) => {
                tracing::warn!("{denied}");
                Err(Refusal::Answer(AdminAnswer::failed(
                    CrmExit::INSUFFICIENT_PRIV,
                    denied.to_string(),
                )))
            }
        }
    }
}

enum Refusal {
    Status(String),
    Answer(AdminAnswer),
}

/// Name and groups of a user. Only as good as the system's user database; the uid itself is certain.
fn caller(uid: u32, gid: u32, admin_group: &str) -> Caller {
    use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = user
        .as_ref()
        .map_or_else(|| format!("uid-{uid}"), |user| user.name.clone());
    let primary = Gid::from_raw(gid);
    let c_name = std::ffi::CString::new(name.as_str()).unwrap_or_default();
    let mut gids = match user {
        Some(_) => getgrouplist(&c_name, primary).unwrap_or_default(),
        None => Vec::new(),
    };
    gids.push(primary);
    let groups: Vec<String> = gids
        .into_iter()
        .filter_map(|gid| Group::from_gid(gid).ok().flatten())
        .map(|group| group.name)
        .collect();
    let own = uid == nix::unistd::geteuid().as_raw();
    Caller {
        uid,
        user: name,
        // A daemon that is not root (a demo in a user namespace) belongs to the user who started it.
        admin: uid == 0 || own || groups.iter().any(|group| group == admin_group),
        groups,
    }
}

#[tonic::async_trait]
impl Admin for Door {
    async fn call(&self, request: Request<Frame>) -> Result<Response<Frame>, Status> {
        let answer = match self.enter(&request) {
            Ok((caller, grant, wanted)) => self.service.admin(caller, grant, wanted).await,
            Err(Refusal::Answer(answer)) => answer,
            Err(Refusal::Status(why)) => return Err(Status::invalid_argument(why)),
        };
        Ok(Response::new(convert::frame(&answer)))
    }

    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Frame>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (caller, grant, _) = self.enter(&request).map_err(|refusal| match refusal {
            Refusal::Status(why) => Status::invalid_argument(why),
            Refusal::Answer(AdminAnswer::Failed { message, .. }) => {
                Status::permission_denied(message)
            }
            Refusal::Answer(_) => Status::permission_denied("refused"),
        })?;
        let notices = ReceiverStream::new(self.service.subscribe(caller, grant).await);
        let frames = notices.map(|notice| Ok(convert::frame(&notice)));
        Ok(Response::new(Box::pin(frames)))
    }
}

/// A tool's hold on the daemon of its node.
#[derive(Clone)]
pub struct Client {
    client: AdminClient<Channel>,
    socket: String,
}

impl Client {
    /// Connects to the socket.
    ///
    /// # Errors
    /// Says that no daemon listens there.
    pub async fn connect(socket: &Path) -> Result<Self, Error> {
        let name = socket.display().to_string();
        let path = socket.to_owned();
        // Says so at once when nobody listens; tonic would say "transport error".
        let first = UnixStream::connect(socket).await;
        let first = first.map_err(|e| match e.kind() {
            std::io::ErrorKind::PermissionDenied => no_permission(&name),
            _ => no_daemon(&name, &e.to_string()),
        })?;
        let mut first = Some(first);
        let connector = tower::service_fn(move |_: Uri| {
            let (first, path) = (first.take(), path.clone());
            async move {
                match first {
                    Some(first) => Ok(TokioIo::new(first)),
                    None => UnixStream::connect(path).await.map(TokioIo::new),
                }
            }
        });
        let endpoint = Endpoint::from_static("http://daemon");
        let channel = endpoint.connect_with_connector(connector);
        let channel = channel
            .await
            .map_err(|e| no_daemon(&name, &e.to_string()))?;
        let client = AdminClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(REQUEST_BYTES);
        let socket = name;
        Ok(Self { client, socket })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// Says that the daemon went away.
    pub async fn call(&mut self, request: &AdminRequest) -> Result<AdminAnswer, Error> {
        let wanted = convert::frame(request);
        if wanted.body.len() > REQUEST_BYTES {
            return Err(too_large(wanted.body.len()));
        }
        let answer = self.client.call(wanted).await;
        let answer = answer.map_err(|e| no_daemon(&self.socket, e.message()))?;
        convert::message(answer.get_ref()).map_err(|e| no_daemon(&self.socket, e.message()))
    }

    /// Changes of the CIB from now on.
    ///
    /// # Errors
    /// Says that the daemon went away or refused.
    pub async fn subscribe(
        &mut self,
    ) -> Result<impl Stream<Item = Result<ChangeNotice, Error>> + use<>, Error> {
        let wanted = convert::frame(&AdminRequest::Subscribe);
        let frames = self.client.subscribe(wanted).await;
        let frames = frames
            .map_err(|e| no_daemon(&self.socket, e.message()))?
            .into_inner();
        let socket = self.socket.clone();
        Ok(frames.map(move |frame| {
            frame
                .and_then(|frame| convert::message(&frame))
                .map_err(|e| no_daemon(&socket, e.message()))
        }))
    }
}

fn no_permission(socket: &str) -> Error {
    let uid = nix::unistd::geteuid();
    Error::Refused {
        exit: CrmExit::INSUFFICIENT_PRIV,
        message: format!(
            "permission denied: uid {uid} may not enter the directory of {socket}; run it as root"
        ),
    }
}

/// Said before anything is sent: the daemon would only hang up.
fn too_large(bytes: usize) -> Error {
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    Error::Refused {
        exit: CrmExit::DATA,
        message: format!(
            "the request has {} MiB and at most {} MiB are taken: make the change in smaller parts",
            mib(bytes),
            mib(REQUEST_BYTES)
        ),
    }
}

fn no_daemon(socket: &str, detail: &str) -> Error {
    Error::NoDaemon {
        socket: socket.into(),
        detail: detail.into(),
    }
}

/// One question from a tool that has no runtime.
///
/// # Errors
/// Says that no daemon answers.
pub fn call_blocking(
    socket: &Path,
    request: &AdminRequest,
    limit: Duration,
) -> Result<AdminAnswer, Error> {
    let mut answers = call_all_blocking(socket, std::slice::from_ref(request), limit)?;
    Ok(answers.pop().expect("one answer to one question"))
}

/// Several questions at once, over one connection, from a tool that has no runtime. Answers come in the questions' order.
///
/// # Errors
/// Says that no daemon answers.
pub fn call_all_blocking(
    socket: &Path,
    requests: &[AdminRequest],
    limit: Duration,
) -> Result<Vec<AdminAnswer>, Error> {
    let name = socket.display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| no_daemon(&name, &e.to_string()))?;
    runtime.block_on(async {
        let asked = async {
            let client = Client::connect(socket).await?;
            let ask = |request| {
                let mut client = client.clone();
                async move { client.call(request).await }
            };
            try_join_all(requests.iter().map(ask)).await
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(no_daemon(&name, &format!("no answer within {limit:?}"))),
        }
    })
}
