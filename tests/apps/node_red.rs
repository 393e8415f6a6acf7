//! Node-RED: a changed flow is deployed, and what it says comes back over a WebSocket.

use super::*;

/// A flow that says "before" every half second in the editor's debug window.
const FLOW: &str = r#"[
  {"id": "tab", "type": "tab", "label": "Flow", "disabled": false, "info": ""},
  {"id": "clock", "type": "inject", "z": "tab", "name": "", "props": [{"p": "payload"}], "repeat": "0.5", "once": false,
   "onceDelay": 0.1, "topic": "", "payload": "before", "payloadType": "str", "x": 100, "y": 80, "wires": [["window"]]},
  {"id": "window", "type": "debug", "z": "tab", "name": "", "active": true, "tosidebar": true, "console": false,
   "tostatus": false, "complete": "payload", "targetType": "msg", "x": 300, "y": 80, "wires": []}
]"#;

fn start(place: &Place) -> App {
    place.write("flows.json", FLOW);
    let settings = format!(
        "module.exports = {{
             uiHost: '{}', uiPort: 9001, userDir: '{}', flowFile: 'flows.json', credentialSecret: false,
             telemetry: {{ enabled: false, updateNotification: false }}, editorTheme: {{ tours: false }},
         }};",
        place.address(),
        place.dir().display()
    );
    let settings = place.write("settings.js", settings);
    let mut command = Command::new("node");
    command.arg(installed("node_modules/node-red/red.js")).arg("--settings").arg(settings);
    App::start(place, "node-red", &mut command)
}

/// Whether the debug window shows a text.
fn shows(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('.red-ui-debug-msg-payload')].some((line) => line.innerText.includes('{text}'))"
    )
}

#[test]
fn a_flow_of_node_red_is_deployed_and_speaks_in_the_editor() {
    let place = Place::new();
    let _app = start(&place);
    let servers = [("127.0.0.1:1880", place.at(9001))];
    let world = gateway(place, "node-red.conf", &servers, "listen {address}:8080;");
    let mut browser = Browser::open(&format!("http://{}/", world.at(8080)));
    browser.until(&shows("before"));
    browser.evaluate(
        "const clock = RED.nodes.node('clock');
         clock.payload = 'after';
         clock.changed = clock.dirty = true;
         RED.nodes.dirty(true);
         RED.actions.invoke('core:deploy-flows')",
    );
    browser.until(&shows("after"));
    assert!(world.place().read("flows.json").contains("after"));
    assert!(tunnel(&world, browser, "/comms").ends_with("HTTP/1.1 "));
    assert!(world.place().read("access.log").contains("200 POST /flows "));
}
