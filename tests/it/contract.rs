//! Names and numbers that callers have compiled in. A change here breaks them.

use meeting_control::proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::FileDescriptorSet;

#[test]
fn services_methods_fields_and_enum_numbers_are_frozen() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let file = set
        .file
        .iter()
        .find(|file| file.package() == "meeting.control.v1")
        .unwrap();
    let mut lines = Vec::new();
    for service in &file.service {
        for method in &service.method {
            lines.push(format!(
                "{}/{}({}) -> {}",
                service.name(),
                method.name(),
                method.input_type(),
                method.output_type()
            ));
        }
    }
    for message in &file.message_type {
        lines.push(message.name().to_owned());
        for field in &message.field {
            let kind = match field.type_name() {
                "" => field.r#type().as_str_name().to_owned(),
                name => name.to_owned(),
            };
            lines.push(format!("  {} = {}: {kind}", field.name(), field.number()));
        }
    }
    for enumeration in &file.enum_type {
        lines.push(enumeration.name().to_owned());
        for value in &enumeration.value {
            lines.push(format!("  {} = {}", value.name(), value.number()));
        }
    }
    assert_eq!(lines.join("\n"), include_str!("contract.txt").trim_end());
}

/// The request as callers compiled it when it had two settings.
#[derive(Clone, PartialEq, prost::Message)]
struct FirstRequest {
    #[prost(string, tag = "1")]
    conference_id: String,
    #[prost(int32, tag = "2")]
    lock_sharing: i32,
    #[prost(int32, tag = "3")]
    call_in_restriction: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FirstResponse {}

#[tokio::test]
async fn a_caller_built_when_there_were_two_settings_still_works() {
    use crate::kit::{Facade, MEETING, Script, Step, TOKEN};

    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut client = tonic::client::Grpc::new(facade.channel().await);
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(FirstRequest {
        conference_id: MEETING.to_owned(),
        lock_sharing: 2,
        call_in_restriction: 3,
    });
    let metadata = request.metadata_mut();
    metadata.insert("x-conference-authorization", TOKEN.parse().unwrap());
    let codec = tonic_prost::ProstCodec::<_, FirstResponse>::default();
    let path = "/meeting.control.v1.MeetingControl/UpdateStartedConfConfig";
    let answer = client.unary(request, path.parse().unwrap(), codec).await;
    assert_eq!(answer.unwrap().into_inner(), FirstResponse {});
    let body = upstream.request().body;
    assert_eq!(body, br#"{"lockSharing":1,"callInRestriction":3}"#);
}

#[tokio::test]
async fn both_versions_of_reflection_and_health_answer_beside_the_service() {
    use crate::kit::{Facade, Script, Step};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::{v1, v1alpha};

    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let channel = facade.channel().await;

    for service in ["", "meeting.control.v1.MeetingControl"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = HealthClient::new(channel.clone()).check(request).await;
        assert_eq!(answer.unwrap().get_ref().status().as_str_name(), "SERVING");
    }

    macro_rules! listed_services {
        ($version:ident) => {{
            use $version::server_reflection_client::ServerReflectionClient;
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;

            let request = $version::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client = ServerReflectionClient::new(channel.clone());
            let mut answers = client
                .server_reflection_info(tokio_stream::once(request))
                .await
                .unwrap()
                .into_inner();
            let answer = answers.message().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
                panic!("not a list");
            };
            let mut names: Vec<_> = list.service.into_iter().map(|s| s.name).collect();
            names.sort();
            names
        }};
    }
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "meeting.control.v1.MeetingControl",
    ];
    assert_eq!(listed_services!(v1), expected);
    assert_eq!(listed_services!(v1alpha), expected);
}
