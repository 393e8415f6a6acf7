//! Streamlit: a button runs the script again, which the page learns over a WebSocket.

use super::*;

const SCRIPT: &str = "
import streamlit as st

presses = st.session_state.setdefault('presses', 0)
if st.button('Press me'):
    presses += 1
    st.session_state.presses = presses
st.write(f'Pressed {presses} times')
";

/// Presses the button once it is there, which is after the text: its part of the page is loaded when it is needed.
const PRESS: &str = "((button) => button !== null && (button.click(), true))(\
    document.querySelector('[data-testid=stButton] button'))";

fn start(place: &Place) -> App {
    let script = place.write("app.py", SCRIPT);
    let mut command = Command::new(installed("venv/bin/streamlit"));
    command.arg("run").arg(script).args(["--server.port=9001", "--server.headless=true"]);
    command.args(["--browser.gatherUsageStats=false", "--server.fileWatcherType=none"]);
    command.arg(format!("--server.address={}", place.address()));
    command.arg(format!("--browser.serverAddress={}", place.address()));
    App::start(place, "streamlit", &mut command)
}

#[test]
fn a_button_of_streamlit_changes_the_page() {
    let place = Place::new();
    let _app = start(&place);
    let servers = [("127.0.0.1:8501", place.at(9001))];
    let world = gateway(place, "streamlit.conf", &servers, "listen {address}:8080;");
    let mut browser = Browser::open(&format!("http://{}/", world.at(8080)));
    browser.until("document.body?.innerText.includes('Pressed 0 times')");
    for presses in ["Pressed 1 times", "Pressed 2 times"] {
        browser.until(PRESS);
        browser.until(&format!("document.body?.innerText.includes('{presses}')"));
    }
    let line = tunnel(&world, browser, "/_stcore/stream");
    assert_eq!(line, "101 GET /_stcore/stream HTTP/1.1 ");
}
