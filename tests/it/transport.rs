//! How the REST side is reached: HTTP versions, proxies.

use http::Version;

use crate::kit::{Facade, MEETING, Settings, tls};

#[tokio::test]
async fn http_2_is_spoken_where_tls_offers_it_and_http_1_otherwise() {
    for (offered, spoken) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"][..], Version::HTTP_11),
        (&[][..], Version::HTTP_11),
    ] {
        let upstream = tls::Upstream::offering(offered).await;
        let mut settings = Settings::default();
        settings.upstream.upstream_ca = Some(upstream.root.path().to_owned());
        let facade = Facade::with(&upstream.base, settings).await;
        for _ in 0..2 {
            facade.lock(MEETING).await.unwrap();
        }
        assert_eq!(upstream.versions(), [spoken; 2], "{offered:?}");
    }
}
