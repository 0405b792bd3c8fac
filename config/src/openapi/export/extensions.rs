//! `x-amazon-apigateway-*` at the root and in operations, and our own `x-tollgate-mock` and `x-tollgate-retry`.

use serde_json::{Value as Json, json};

use super::{Object, Writer};
use crate::definition::{
    ApiKeySource, ConnectionType, ContentHandling, Cors, Definition, Documentation, Endpoint, GatewayResponse,
    Integration, IntegrationResponse, IntegrationType, MockAnswer, Passthrough, Retry, TransferMode, Validator,
};

impl Writer<'_> {
    /// What stands at the root. Every field of a definition is named: a new one must be written, or be said to stand elsewhere.
    pub(super) fn root_extensions(&self, root: &mut Object) {
        let Definition {
            // written by `export`
            kind: _,
            info: _,
            methods: _,
            resources: _,
            models: _,
            authorizers: _,
            tags: _,
            // written here
            validators,
            validator,
            gateway_responses,
            binary_media_types,
            minimum_compression_size,
            api_key_source,
            cors,
            strict_errors,
            policy,
            policy_at: _,
            endpoint,
            documentation,
        } = self.definition;
        let extensions = self.options.extensions;
        if extensions.validators {
            let validators = validators.iter().map(|(name, validator)| (&**name, request_validator(*validator)));
            root.object("x-amazon-apigateway-request-validators", validators);
            root.maybe("x-amazon-apigateway-request-validator", validator.as_deref());
        }
        if !extensions.others {
            return;
        }
        let responses = gateway_responses.iter().map(|(name, response)| (&**name, gateway_response(response)));
        root.object("x-amazon-apigateway-gateway-responses", responses);
        root.words("x-amazon-apigateway-binary-media-types", binary_media_types);
        root.maybe("x-amazon-apigateway-minimum-compression-size", *minimum_compression_size);
        let source = api_key_source.map(|source| match source {
            ApiKeySource::Header => "HEADER",
            ApiKeySource::Authorizer => "AUTHORIZER",
        });
        root.maybe("x-amazon-apigateway-api-key-source", source);
        root.maybe("x-amazon-apigateway-cors", cors.as_ref().map(cors_of));
        root.maybe("x-tollgate-strict-errors", strict_errors.then_some(true));
        root.maybe("x-amazon-apigateway-policy", policy.clone());
        root.maybe("x-amazon-apigateway-endpoint-access-mode", endpoint.access_mode.as_deref());
        root.maybe("x-amazon-apigateway-security-policy", endpoint.security_policy.as_deref());
        root.maybe("x-amazon-apigateway-documentation", documentation.as_ref().map(documentation_of));
    }

    /// `x-amazon-apigateway-endpoint-configuration`, unless there is nothing to say.
    pub(super) fn endpoint(&self) -> Option<Json> {
        let Endpoint {
            disable_execute_api,
            types,
            vpc_endpoint_ids,
            ip_address_type,
            access_mode: _,     // an extension of the root
            security_policy: _, // an extension of the root
        } = &self.definition.endpoint;
        let mut out = Object::default();
        out.maybe("disableExecuteApiEndpoint", *disable_execute_api);
        out.words("types", types);
        out.words("vpcEndpointIds", vpc_endpoint_ids);
        out.maybe("ipAddressType", ip_address_type.as_deref());
        Some(out).filter(|out| self.options.extensions.others && !out.0.is_empty()).map(Into::into)
    }
}

/// `x-amazon-apigateway-integration`.
pub(super) fn integration(integration: &Integration) -> Json {
    let Integration {
        place: _,
        kind,
        uri,
        http_method,
        subtype,
        credentials,
        connection_type,
        connection_id,
        integration_target,
        timeout_ms,
        retry,
        passthrough: passthrough_behavior,
        content_handling: content,
        cache_namespace,
        cache_key_parameters,
        payload_format_version,
        insecure_skip_verification,
        server_name_to_verify,
        transfer_mode: mode,
        request_parameters,
        request_templates,
        responses,
        response_parameters,
        mock,
    } = integration;
    let mut out = Object::default();
    out.set("type", manner(*kind));
    out.maybe("httpMethod", http_method.as_deref());
    out.maybe("uri", uri.as_deref());
    out.maybe("integrationSubtype", subtype.as_deref());
    out.maybe("credentials", credentials.as_deref());
    out.maybe("connectionType", connection_type.map(connection));
    out.maybe("connectionId", connection_id.as_deref());
    out.maybe("integrationTarget", integration_target.as_deref());
    out.maybe("payloadFormatVersion", payload_format_version.as_deref());
    out.maybe("timeoutInMillis", *timeout_ms);
    out.maybe("passthroughBehavior", passthrough_behavior.map(passthrough));
    out.maybe("contentHandling", content.map(content_handling));
    out.maybe("responseTransferMode", mode.map(transfer_mode));
    out.maybe("cacheNamespace", cache_namespace.as_deref());
    out.words("cacheKeyParameters", cache_key_parameters);
    let mut tls = Object::default();
    tls.maybe("insecureSkipVerification", *insecure_skip_verification);
    tls.maybe("serverNameToVerify", server_name_to_verify.as_deref());
    out.maybe("tlsConfig", Some(tls.0).filter(|tls| !tls.is_empty()));
    out.texts("requestParameters", request_parameters);
    out.texts("requestTemplates", request_templates);
    out.object("responses", responses.iter().map(|response| (&*response.pattern, integration_response(response))));
    let by_status = response_parameters.iter().map(|(status, parameters)| {
        let parameters: Object = parameters.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        (&**status, parameters)
    });
    out.object("responseParameters", by_status);
    out.maybe("x-tollgate-mock", mock.as_ref().map(mock_answer));
    out.maybe("x-tollgate-retry", retry.map(again));
    out.into()
}

const fn manner(kind: IntegrationType) -> &'static str {
    match kind {
        IntegrationType::HttpProxy => "http_proxy",
        IntegrationType::Http => "http",
        IntegrationType::Mock => "mock",
        IntegrationType::AwsProxy => "aws_proxy",
        IntegrationType::Aws => "aws",
    }
}

const fn connection(kind: ConnectionType) -> &'static str {
    match kind {
        ConnectionType::Internet => "INTERNET",
        ConnectionType::VpcLink => "VPC_LINK",
    }
}

const fn passthrough(behavior: Passthrough) -> &'static str {
    match behavior {
        Passthrough::WhenNoMatch => "when_no_match",
        Passthrough::WhenNoTemplates => "when_no_templates",
        Passthrough::Never => "never",
    }
}

const fn content_handling(content: ContentHandling) -> &'static str {
    match content {
        ContentHandling::ConvertToBinary => "CONVERT_TO_BINARY",
        ContentHandling::ConvertToText => "CONVERT_TO_TEXT",
    }
}

const fn transfer_mode(mode: TransferMode) -> &'static str {
    match mode {
        TransferMode::Buffered => "BUFFERED",
        TransferMode::Stream => "STREAM",
    }
}

fn integration_response(response: &IntegrationResponse) -> Json {
    let IntegrationResponse { pattern: _, status, parameters, templates, content_handling: content } = response;
    let mut out = Object::default();
    out.set("statusCode", status.as_str());
    out.texts("responseParameters", parameters);
    out.texts("responseTemplates", templates);
    out.maybe("contentHandling", content.map(content_handling));
    out.into()
}

fn again(retry: Retry) -> Json {
    let Retry { attempts, try_time_ms } = retry;
    let mut out = Object::default();
    out.maybe("attempts", attempts);
    out.maybe("tryTimeInMillis", try_time_ms);
    out.into()
}

fn mock_answer(mock: &MockAnswer) -> Json {
    let MockAnswer { status, headers, body } = mock;
    let mut out = Object::default();
    out.set("status", *status);
    out.texts("headers", headers);
    out.maybe("body", body.as_deref());
    out.into()
}

fn request_validator(validator: Validator) -> Json {
    let Validator { body, parameters } = validator;
    json!({ "validateRequestBody": body, "validateRequestParameters": parameters })
}

fn gateway_response(response: &GatewayResponse) -> Json {
    let GatewayResponse { status, parameters, templates } = response;
    let mut out = Object::default();
    let status = status.as_ref().map(|status| match status.parse::<u16>() {
        Ok(number) if number.to_string() == **status => json!(number),
        _ => json!(status.as_str()),
    });
    out.maybe("statusCode", status);
    out.texts("responseParameters", parameters);
    out.texts("responseTemplates", templates);
    out.into()
}

fn cors_of(cors: &Cors) -> Json {
    let Cors { place: _, allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials } =
        cors;
    let mut out = Object::default();
    out.words("allowOrigins", allow_origins);
    out.words("allowMethods", allow_methods);
    out.words("allowHeaders", allow_headers);
    out.words("exposeHeaders", expose_headers);
    out.maybe("maxAge", *max_age);
    out.maybe("allowCredentials", *allow_credentials);
    out.into()
}

fn documentation_of(documentation: &Documentation) -> Json {
    let Documentation { version, parts } = documentation;
    let mut out = Object::default();
    out.maybe("version", version.as_deref());
    out.list("documentationParts", parts.iter().cloned());
    out.into()
}
