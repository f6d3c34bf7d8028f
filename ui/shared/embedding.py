"""The app inside a frame of another site."""

import streamlit as st

from ui.state.session import session


def warn_of_refused_uploads() -> None:
    """Say that the server will refuse uploads, if so: call it above an uploader.

    Inside another site, browsers withhold the cookie of Streamlit's XSRF protection. The uploader alone would
    show "AxiosError: Request failed with status code 403".
    """
    if session().get("lacks_upload_cookie") and st.get_option("server.enableXsrfProtection"):
        st.warning(
            "Uploads do not work here: this page is part of another site, for which your browser withholds a "
            f"cookie. [Open the app in a tab of its own]({st.context.url}) to upload photos. Whoever runs "
            "the app can allow uploads here: see “Inside another site” in docs/deployment.md.",
            icon=":material/tab:",
        )
