globalThis.AirflowPlugin = () => globalThis.React.createElement("p", null, "Salesforce");
